import { createServer } from "node:net";

/** `localhost` may mean either of these; a port is free when nobody listens on any. */
const LOOPBACK_ADDRESSES = ["127.0.0.1", "::1"];

export async function isFree(port: number): Promise<boolean> {
  for (const address of LOOPBACK_ADDRESSES) {
    if ((await listenBriefly(port, address)) === "taken") return false;
  }
  return true;
}

/** A port that is free at this moment; another process may still be quicker. */
export async function findFreePort(): Promise<number> {
  const port = await listenBriefly(0, "127.0.0.1");
  if (typeof port !== "number") throw new Error("this machine has no free port");
  return port;
}

/** The port that was listened on, or why not. A machine without IPv6 has no `::1`. */
function listenBriefly(port: number, address: string): Promise<number | "taken" | "no-such-address"> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE" || error.code === "EACCES") resolve("taken");
      else if (error.code === "EADDRNOTAVAIL" || error.code === "EAFNOSUPPORT") resolve("no-such-address");
      else reject(error);
    });
    server.listen(port, address, () => {
      const bound = server.address();
      server.close(() => resolve(typeof bound === "object" && bound !== null ? bound.port : port));
    });
  });
}
