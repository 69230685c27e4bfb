// The yardstick of the login benchmark: verifies one password so many times when it is asked, so many at once.
import { createServer } from "node:http";
import { hash, verify } from "@node-rs/argon2";

const { PORT, PASSWORD = "", THREADS } = process.env;
const stored = await hash(PASSWORD, { memoryCost: 19_456, timeCost: 2, parallelism: 1, outputLen: 32 });

async function work(verifications: number): Promise<void> {
  let left = verifications;
  const one = async () => {
    while (left > 0) {
      left -= 1;
      if (!(await verify(stored, PASSWORD))) throw new Error("the password was refused");
    }
  };
  await Promise.all(Array.from({ length: Number(THREADS) }, one));
}

createServer((request, response) => {
  const verifications = Number(new URL(request.url ?? "/", "http://localhost").searchParams.get("verifications"));
  void work(verifications).then(() => response.end("{}"));
}).listen(Number(PORT), "127.0.0.1");
