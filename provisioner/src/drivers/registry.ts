import { commandDriver } from "./command/command.ts";
import { dockerDriver } from "./docker/docker-driver.ts";
import type { Driver } from "./driver.ts";
import { hetznerDriver } from "./hetzner/hetzner-driver.ts";
import { qemuDriver } from "./qemu/qemu-driver.ts";

/** By the `kind` of a templates file's provider. */
export const DRIVERS: Readonly<Record<string, Driver>> = {
  command: commandDriver,
  docker: dockerDriver,
  hetzner: hetznerDriver,
  qemu: qemuDriver,
};
