# Sourced by the scripts that may have to install packages. Only root on Debian or Ubuntu can; everybody else is told.

# True when this machine lets us install packages with apt.
apt_usable() {
  [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1
}

# apt_install PACKAGE...: installs without asking anything and waits up to five minutes for another apt to finish.
# Only what goes wrong is shown.
apt_install() {
  apt_quiet update || echo "apt-get update failed; trying with the package lists that are here" >&2
  apt_quiet install -y --no-install-recommends "$@"
}

apt_quiet() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null >/dev/null
}
