import { checkLinear, crowd } from "./crowd.ts";

Deno.test("agreement, donations and meeting again cost each host no more than in proportion to their number", () => {
  checkLinear(crowd(12), crowd(36), 3);
});
