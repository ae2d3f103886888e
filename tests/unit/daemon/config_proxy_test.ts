import assert from "node:assert/strict";
import { formatEndpoint } from "../../../mod/core/addr.ts";
import { resolveConfig } from "../../../mod/daemon/config/config.ts";

type Given = Readonly<Record<string, string | boolean>>;

const proxyOf = (flags: Given) =>
  resolveConfig({ flags, env: {}, file: undefined, hostname: "host1", cwd: "/c" }).dockerProxy;
const listens = (flags: Given) =>
  proxyOf(flags)?.listen.map((one) => one.kind === "unix" ? one.path : formatEndpoint(one.endpoint));

Deno.test("the proxy listens in the run folder, or where --docker-proxy says", () => {
  assert.deepEqual(listens({}), ["/run/meshnet/docker.sock"]);
  assert.deepEqual(listens({ "run-dir": "/run/other" }), ["/run/other/docker.sock"]);
  assert.equal(proxyOf({ "docker-proxy": "off" }), undefined);
  assert.equal(proxyOf({ docker: "off" }), undefined);
  const tls = { "docker-proxy-tls": "ca.pem,/k/cert.pem,key.pem" };
  const several = { "docker-proxy": "auto,unix:///run/a.sock,tcp://192.0.2.1:2376", ...tls };
  assert.deepEqual(listens(several), ["/run/meshnet/docker.sock", "/run/a.sock", "192.0.2.1:2376"]);
  assert.deepEqual(proxyOf(several)?.tls, { ca: "/c/ca.pem", cert: "/k/cert.pem", key: "/c/key.pem" });
});

Deno.test("what the proxy cannot do is refused, with what would do", () => {
  const wrong: readonly [flags: Given, hint: RegExp][] = [
    [{ "docker-proxy": "tcp://192.0.2.1:2376" }, /--docker-proxy-tls CA,CERT,KEY/],
    [{ "docker-proxy": "tcp://127.0.0.1:0", "docker-proxy-tls": "a,b,c" }, /tcp:\/\/ADDRESS:PORT/],
    [{ "docker-proxy": "docker.sock" }, /unix:\/\/\/PATH/],
    [{ "docker-proxy": "off,auto" }, /unix:\/\/\/PATH/],
    [{ "docker-proxy": "unix:///var/run/docker.sock" }, /the engine itself listens there/],
    [{ "docker-proxy-tls": "a,b" }, /three files/],
    [{ "docker-proxy-attach": "some" }, /all or asked/],
    [{ "docker-proxy-host-match": "(" }, /regular expression/],
  ];
  for (const [flags, hint] of wrong) {
    assert.throws(() => proxyOf(flags), (error: { readonly code: string; readonly hint: string }) => {
      assert.equal(error.code, "usage/bad-option");
      assert.match(error.hint, hint);
      return true;
    });
  }
});

Deno.test("what the proxy does about containers is set", () => {
  assert.deepEqual({ ...proxyOf({})!, listen: [] }, {
    ...{ listen: [], tls: undefined, all: true, showMesh: false },
    hostName: { label: undefined, match: undefined, replacement: "" },
  });
  const set = proxyOf({
    ...{ "docker-proxy-attach": "asked", "docker-proxy-inspect": true, "docker-proxy-host-label": "host" },
    ...{ "docker-proxy-host-match": "^app-(.*)$", "docker-proxy-host-replace": "$1" },
  })!;
  assert.deepEqual([set.all, set.showMesh], [false, true]);
  assert.deepEqual(set.hostName, { label: "host", match: /^app-(.*)$/, replacement: "$1" });
});
