/** Where common programs look for certificate authorities; `path` as the steps see it, null when the operator passes none on. */
export function caEnv(path: string | null): Record<string, string> {
  return path === null ? {} : Object.fromEntries(CA_VARIABLES.map((name) => [name, path]));
}

const CA_VARIABLES = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"];
