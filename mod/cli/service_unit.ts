/** The systemd unit of the daemon: every right it does not need is taken away, and each line says why it is there. */
import { DEFAULT_CONFIG_FILE } from "../core/options.ts";

/** Folders that the unit does not see as they are, by what the service manager does with them. */
const HIDDEN: readonly (readonly [folder: string, why: string])[] = [
  ["/tmp", "the service has a /tmp of its own"],
  ["/var/tmp", "the service has a /var/tmp of its own"],
  ["/home", "the service does not see home folders"],
  ["/root", "the service does not see home folders"],
  ["/run/user", "the service does not see folders of users"],
];

/** Writes a file that Docker takes for its plugin while there is no socket. No address can be read out of it, so Docker gives
 * up at once, and shows the text. */
const STAND_IN = "umask 022; ! command -v dockerd >/dev/null || { mkdir -p /etc/docker/plugins && echo " +
  String.raw`'{\"Addr\": \"meshnet does not run on this host: see systemctl status meshnet\"}'` +
  " >/etc/docker/plugins/meshnet.json; }";

/** What will keep the unit from starting `exec`; sentences without full stop. */
export function unitWarnings(exec: string, isThere: (path: string) => boolean): readonly string[] {
  const hidden = HIDDEN.find(([folder]) => exec.startsWith(`${folder}/`));
  return [
    ...(isThere(exec) ? [] : [`${exec} does not exist: put the program there before you start the unit`]),
    ...(hidden === undefined ? [] : [
      `The unit cannot start ${exec}: ${
        hidden[1]
      }; install it with \`deno task install\` or copy it to /usr/local/bin`,
    ]),
  ];
}

/** The unit that starts `exec`, an absolute path without blanks. */
export function serviceUnit(exec: string): string {
  return `# Made by \`meshnet service unit\`. Settings belong into ${DEFAULT_CONFIG_FILE}.
[Unit]
Description=meshnet: one Ethernet across hosts for containers
Documentation=man:meshnet(8)
Wants=network.target modprobe@openvswitch.service
After=network.target modprobe@openvswitch.service
Before=docker.service
StartLimitIntervalSec=120
StartLimitBurst=10

[Service]
Type=notify
NotifyAccess=main
# Below it are the files that tell attached namespaces whom to ask for names.
ExecStartPre=+/bin/mkdir -p -m 0755 /etc/netns
# Docker reads it while meshnet does not run, and goes on. Without it Docker's own start waits 45 seconds for meshnet.
ExecStartPre=-+/bin/sh -c "${STAND_IN}"
ExecStart=${exec} up
# Wrong settings are refused here, where somebody reads it.
ExecReload=${exec} config check --settings-only
ExecReload=/bin/kill -HUP $MAINPID
EnvironmentFile=-/etc/default/meshnet
Environment=MESHNET_CACHE_DIR=%C/meshnet
# The daemon proves that its main loop and its data plane are alive.
WatchdogSec=30
Restart=on-failure
RestartSec=2
# Wrong settings do not get better by trying again.
RestartPreventExitStatus=2
TimeoutStartSec=60
TimeoutStopSec=30
LimitNOFILE=65536
LimitCORE=0

# Folders: control socket (kept while the daemon restarts), identity and attachments, the unpacked program.
# The second is where Docker looks for plugins.
RuntimeDirectory=meshnet docker/plugins
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes
StateDirectory=meshnet
StateDirectoryMode=0700
CacheDirectory=meshnet
UMask=0077

# NET_ADMIN: interfaces, datapath. NET_RAW: announcements of addresses. SYS_ADMIN: enter a container's network
# namespace. SYS_PTRACE: open the namespace of another user's process (pid:N). NET_BIND_SERVICE: answer names on port
# 53. The kernel loads its modules itself.
CapabilityBoundingSet=CAP_NET_ADMIN CAP_NET_RAW CAP_SYS_ADMIN CAP_SYS_PTRACE CAP_NET_BIND_SERVICE
AmbientCapabilities=
NoNewPrivileges=yes
RestrictNamespaces=net
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK AF_PACKET
SystemCallArchitectures=native
# bpf: the program that keeps containers from reaching this host until it is exposed.
SystemCallFilter=@system-service bpf
SystemCallFilter=~@resources
SystemCallErrorNumber=EPERM

# Namespaces that appear under /run/netns later become visible: mounts propagate into the unit, never out of it.
ReadWritePaths=-/proc/sys/net -/etc/netns
PrivateMounts=yes
ProtectSystem=strict
# Nothing of users is needed: no password file and no program may lie there.
ProtectHome=yes
# With CAP_SYS_PTRACE all processes are seen nevertheless.
ProtectProc=invisible
PrivateTmp=yes
# Of all devices the one that makes the interface of user space.
DevicePolicy=closed
DeviceAllow=/dev/net/tun rw
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
LockPersonality=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes

[Install]
WantedBy=multi-user.target
`;
}
