import { commandDriver } from "./command/command.ts";
import { dockerDriver } from "./docker/docker-driver.ts";
import type { Driver } from "./driver.ts";
import { ec2Driver } from "./ec2/ec2-driver.ts";
import { hetznerDriver } from "./hetzner/hetzner-driver.ts";
import { qemuDriver } from "./qemu/qemu-driver.ts";

/** By the `kind` of a templates file's provider. */
export const DRIVERS: Readonly<Record<string, Driver>> = {
  command: commandDriver,
  docker: dockerDriver,
  ec2: ec2Driver,
  hetzner: hetznerDriver,
  qemu: qemuDriver,
};
