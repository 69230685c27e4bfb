# Sourced by the scripts that build a system from this distribution's packages, after apt.sh and with a function `stop`.

# The distribution's own sources of this machine, one line each, whatever format and mirror they are written in.
apt_sources() {
  # shellcheck disable=SC2016 # the $(...) are apt's own placeholders
  apt-get indextargets --format '$(ORIGIN)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
    awk -F'|' '($1 == "Debian" || $1 == "Ubuntu") && !seen[$0]++ { print "deb", $2, $3, $4 }'
}

# How apt on this machine reaches its mirror (proxies, certificates), as options for mmdebstrap, one a line.
apt_transport_options() {
  apt-config dump | grep -E '^Acquire::(http|https)::([^ ]*::)?(Proxy|Proxy-Auto-Detect|CAInfo) "[^"]+"' || :
}

# debian_tree TARBALL WORK PACKAGES [OPTION...]: the smallest system with these packages, separated by commas, as a tarball.
# WORK is a folder for the list of sources and the log; the options are mmdebstrap's.
debian_tree() {
  tree_tarball=$1
  tree_work=$2
  tree_packages=$3
  shift 3
  # shellcheck disable=SC1091
  codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
  sources=$tree_work/sources.list
  apt_sources >"$sources"
  if ! [ -s "$sources" ]; then
    if apt_usable; then apt_quiet update || :; fi
    apt_sources >"$sources"
  fi
  [ -s "$sources" ] && [ -n "$codename" ] || stop "apt on this machine has no Debian or Ubuntu source to build from"

  set -- --variant=minbase --include="$tree_packages" \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --aptopt='Acquire::Retries "3"' "$@"
  for keyring in /etc/apt/trusted.gpg.d /usr/share/keyrings/debian-archive-keyring.gpg \
    /usr/share/keyrings/ubuntu-archive-keyring.gpg; do
    if [ -e "$keyring" ]; then set -- "$@" --keyring="$keyring"; fi
  done
  while IFS= read -r option; do
    [ -z "$option" ] || set -- "$@" --aptopt="$option"
  done <<OPTIONS
$(apt_transport_options)
OPTIONS
  mmdebstrap --quiet "$@" "$codename" "$tree_tarball" "$sources" </dev/null 9>&- 2>"$tree_work/build.log" || {
    tail -n 40 "$tree_work/build.log" >&2
    stop "building the system from packages failed"
  }
}
