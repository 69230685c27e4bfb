#!/bin/sh
# Installs a part of Shipfox on a Linux machine, brings it to another version, or removes it. --help says how.
set -eu

EXIT_FAILED=1
EXIT_MISSING=3
EXIT_USAGE=64
NEEDED_KB=900000
CONFIG_DIR=/etc/shipfox
STATE_DIR=/var/lib/shipfox
UNIT_DIR=/etc/systemd/system
HEALTH_SECONDS=60
# The image of jobs that name none, and a public one that may be it.
SANDBOX_IMAGE=shipfox/sandbox:1
PUBLIC_IMAGE=docker.io/library/node:24-bookworm
REGISTRY_SECONDS=10
PULL_SECONDS=600
DRAIN_SECONDS=3600
ACCOUNT_SECONDS=20

say() { echo "install: $*"; }
warn() { echo "install: $*" >&2; }
stop() { warn "$2"; exit "$1"; }
misuse() { stop "$EXIT_USAGE" "$*; --help lists the flags"; }
failed() { stop "$EXIT_FAILED" "$*"; }

# matches VALUE PATTERN: the whole value, one line, by an extended regular expression.
matches() {
  case $1 in
    *'
'*) return 1 ;;
  esac
  printf '%s\n' "$1" | LC_ALL=C grep -Eqx -- "$2"
}

# valid FLAG VALUE PATTERN WHAT
valid() { matches "$2" "$3" || misuse "$1: expected $4"; }

# setting NAME FILE: its value as systemd reads it: the last one counts, without its quotes.
setting() {
  [ -r "$2" ] || return 0
  sed -n "s/^[[:space:]]*$1[[:space:]]*=[[:space:]]*//p" "$2" | tail -n 1 |
    sed "s/[[:space:]]*\$//; s/^\"\(.*\)\"\$/\1/; s/^'\(.*\)'\$/\1/"
}

# would WHAT: true when it is only said.
would() {
  [ "$dry_run" = yes ] || return 1
  say "would $*"
}

read_arguments() {
  action=install component='' url='' from='' version='' labels='' token_file='' name='' sandbox='' listen=''
  prefix=/usr/local user='' ca='' insecure=no install_deps=no start=yes purge=no dry_run=no admin='' bare=no
  templates='' group='' image_is_ours=no placed=no
  case ${1:-} in
    upgrade | uninstall) action=$1; shift ;;
    -h | --help) usage; exit 0 ;;
  esac
  case ${1:-} in
    control-plane | runner | provisioner | cli) component=$1; shift ;;
    '') misuse "which part? control-plane, runner, provisioner or cli" ;;
    *) misuse "unknown part; expected control-plane, runner, provisioner or cli" ;;
  esac
  while [ $# -gt 0 ]; do
    case $1 in
      --insecure) insecure=yes ;;
      --install-deps) install_deps=yes ;;
      --no-start) start=no ;;
      --purge) purge=yes ;;
      --dry-run) dry_run=yes ;;
      --bare) bare=yes ;;
      --help) usage; exit 0 ;;
      --url | --from | --version | --labels | --token-file | --name | --sandbox | --listen | --prefix | --user | --ca | --admin | \
        --templates | --group)
        [ $# -ge 2 ] || misuse "$1 needs a value"
        take_value "$1" "$2"
        shift
        ;;
      *) misuse "unknown flag; nothing was changed" ;;
    esac
    shift
  done
  [ "$purge" = no ] || [ "$action" = uninstall ] || misuse "--purge goes with uninstall"
  [ "$component" != control-plane ] || [ "$action" = uninstall ] || [ -n "$from" ] ||
    misuse "--from is needed: the folder that scripts/release filled, or its address"
  if [ -n "$admin" ] || [ "$bare" = yes ]; then
    [ "$component$action" = control-planeinstall ] || misuse "--admin and --bare go with the installation of a control plane"
    [ -z "$admin" ] || [ "$bare" = no ] || misuse "--bare makes no account, so it does not go with --admin"
    [ "$start" = yes ] || [ -z "$admin" ] || misuse "--admin needs a control plane that runs, so it does not go with --no-start"
  fi
  [ -z "$name" ] || [ "$component" = runner ] || misuse "--name is for runners"
  [ -z "${SHIPFOX_RUNNER_IMAGE:-}" ] || [ "$component" != runner ] ||
    valid SHIPFOX_RUNNER_IMAGE "$SHIPFOX_RUNNER_IMAGE" '[A-Za-z0-9][A-Za-z0-9._:/@-]*' "an image such as registry.example.com/ci:1"
  [ -z "$templates$group" ] || [ "$component" = provisioner ] || misuse "--templates and --group are for provisioners"
  command=shipfox
  [ "$component" = cli ] || command=shipfox-$component
  lib=$prefix/lib/shipfox
  current=$lib/$component
  select_service "$command${name:+@$name}"
}

# select_service SERVICE: what is said next is about that one. What it has already counts where no flag says otherwise.
select_service() {
  service=$1 instance=${1#shipfox-}
  instance=$(printf '%s' "$instance" | tr @ -)
  unit=$service.service
  drop_ins=$UNIT_DIR/$unit.d
  env_file=$CONFIG_DIR/$instance.env
  state=$STATE_DIR/$instance
  account=$user kind=$sandbox
  if [ -z "$account" ] && [ -r "$UNIT_DIR/$unit" ]; then account=$(sed -n 's/^User=//p' "$UNIT_DIR/$unit"); fi
  [ -n "$kind" ] || kind=$(setting SHIPFOX_RUNNER_SANDBOX "$env_file")
  account=${account:-$command} kind=${kind:-docker}
}

take_value() {
  path='/[A-Za-z0-9._/@+-]+'
  case $1 in
    --url) take_url "$1" "$2" ;;
    --from)
      case $2 in
        http://* | https://*) valid "$1" "$2" 'https?://[A-Za-z0-9._:/-]+' "an address such as https://shipfox.example.com/releases"; from=${2%/} ;;
        *) valid "$1" "$(absolute "$2")" "$path" "a folder or a tarball"; from=$(absolute "$2") ;;
      esac
      ;;
    --admin) valid "$1" "$2" '[A-Za-z0-9._%+][A-Za-z0-9._%+-]*@[A-Za-z0-9.-]+' "an email address"; admin=$2 ;;
    --version) valid "$1" "$2" '[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?' "a version such as 1.2.3"; version=$2 ;;
    --labels) valid "$1" "$2" '[A-Za-z0-9._:/-]+(,[A-Za-z0-9._:/-]+)*' "labels such as linux,x64"; labels=$2 ;;
    --token-file) token_file=$2 ;;
    --name) valid "$1" "$2" '[a-z0-9][a-z0-9-]{0,30}' "lower-case letters, digits and -"; name=$2 ;;
    --sandbox) valid "$1" "$2" 'docker|host' "docker or host"; sandbox=$2 ;;
    --listen) valid "$1" "$2" '([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}' "an address and a port such as 0.0.0.0:16101"; listen=$2 ;;
    --prefix) valid "$1" "$2" "$path" "an absolute path"; prefix=${2%/} ;;
    --user) valid "$1" "$2" '[a-z_][a-z0-9_-]{0,30}' "the name of an account"; user=$2 ;;
    --ca) ca=$2 ;;
    --templates) templates=$2 ;;
    --group) valid "$1" "$2" '[a-z_][a-z0-9_-]{0,30}' "the name of a group"; group=$2 ;;
  esac
}

take_url() {
  valid "$1" "$2" 'https?://[A-Za-z0-9._-]+(:[0-9]{1,5})?(/[A-Za-z0-9._/-]*)?|https?://\[[0-9A-Fa-f:]+\](:[0-9]{1,5})?' "an address such as https://shipfox.example.com"
  url=${2%/}
}

absolute() {
  case $1 in
    /*) printf '%s\n' "$1" ;;
    *) printf '%s\n' "$PWD/$1" ;;
  esac
}

# Not from the file: the script may come by a pipe.
usage() {
  cat <<'END'
Installs a part of Shipfox on a Linux machine, brings it to another version, or removes it.

  curl -fsSL https://HOST/install.sh | sudo SHIPFOX_TOKEN=sf_mrt_… sh -s -- runner --url https://HOST --labels linux,x64
  curl -fsSL https://HOST/install.sh | sudo sh -s -- control-plane --from https://HOST/releases --admin you@example.com
  curl -fsSL https://HOST/install.sh | sudo SHIPFOX_TOKEN=sf_pt_… sh -s -- provisioner --url https://HOST --templates templates.yaml
  sh install.sh upgrade runner --url https://HOST
  sh install.sh uninstall runner [--purge]

Parts: control-plane, runner, provisioner, cli. Repeating an installation changes only what is different.

  --url URL          address of the control plane; for control-plane the address under which it will be reached
  --from PATH|URL    install from a folder that scripts/release filled, or from a tarball in such a folder: no network;
                     or from an address under which such a folder is served
  --admin EMAIL      control-plane: also the command line, the first account, a workspace, a project to try, and the next commands.
                     Its password: SHIPFOX_PASSWORD, else asked on the terminal, else made up and shown
  --bare             control-plane: none of that, and no question
  --version VERSION  default: the version of the control plane at --url, or the newest in --from
  --labels A,B       labels of the runner
  --token-file FILE  registration token of a runner, token of a provisioner; else SHIPFOX_TOKEN, else asked on the terminal.
                     Needed for the first start only
  --templates FILE   provisioner: which machines to start, becomes /etc/shipfox/templates.yaml
  --group NAME       provisioner: the group that its driver needs: docker, or kvm
  --name NAME        a further runner on this machine: shipfox-runner@NAME
  --sandbox KIND     docker (default) or host. For docker an image for jobs that name none is provided: what
                     SHIPFOX_RUNNER_IMAGE names, else one that is here, else a public one, else the one of the control plane
  --listen ADDR:PORT where the control plane listens, default 127.0.0.1:16101
  --prefix DIR       default /usr/local
  --user NAME        account of the service, made when it is missing
  --ca FILE          certificate authority of the control plane
  --insecure         allow http to another machine: neither this script nor the token is protected on the way
  --install-deps     install missing packages with apt-get or dnf
  --no-start         install the service without starting it
  --purge            with uninstall: settings, data and account as well
  --dry-run          say what would be done and change nothing

Exit status: 0 done, 1 failed and put back, 3 something is missing and nothing was changed, 64 wrong usage.
END
}

# --- What must be there before anything is changed -------------------------------------------------------------------

# Adds a package to what is missing, and says why.
lacks() {
  warn "missing: $2"
  missing=yes
  [ -z "$1" ] || packages="$packages $1"
}

needs_tool() { command -v "$1" >/dev/null 2>&1 || lacks "$2" "the program $1"; }

# What is taken from there is run as root.
check_address() {
  source=$url
  if from_network; then source=$from; elif [ "$component" = control-plane ]; then return 0; fi
  [ -n "$source" ] || return 0
  if matches "$source" 'https://.*|http://(localhost|127(\.[0-9]{1,3}){3}|\[::1\])([:/].*)?'; then return 0; fi
  [ "$insecure" = yes ] || {
    warn "$source is plain http to another machine: this script, what it installs and the token could be read and changed on the way"
    stop "$EXIT_MISSING" "use https, with --ca FILE for an authority of your own; or accept it with --insecure"
  }
}

check_machine() {
  missing=no packages=''
  [ "$(uname -s)" = Linux ] || lacks '' "Linux"
  case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) arch=none; lacks '' "a processor of the kind x86_64 or aarch64" ;;
  esac
  for musl in /lib/ld-musl-*; do
    [ ! -e "$musl" ] || lacks '' "glibc (this system uses musl)"
  done
  if [ "$component" != cli ] && [ "$(id -u)" != 0 ]; then lacks '' "root: run this with sudo"; fi
  if [ -z "$from" ] || from_network || [ -n "$admin" ] || uses_engine; then needs_tool curl curl; fi
  needs_tool tar tar
  needs_tool gzip gzip
  needs_tool sha256sum coreutils
  if ! PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null | grep -q 'libstdc++\.so\.6'; then
    lacks libstdc++6 "the library libstdc++.so.6"
  fi
  if [ "$component" != cli ]; then
    [ "$component" = provisioner ] || needs_tool git git
    needs_tool systemctl systemd
    needs_tool systemd-notify systemd
    needs_tool systemd-sysusers systemd
    [ -d /run/systemd/system ] || lacks '' "systemd as the init system of this machine"
  fi
  if uses_engine && ! engine_socket >/dev/null; then
    lacks docker.io "Docker Engine or Podman with its socket; or use --sandbox host"
  fi
  if [ -n "$group" ] && ! getent group "$group" >/dev/null; then lacks '' "the group $group; install what makes it (docker, qemu), or name another with --group"; fi
  check_disk
}

uses_engine() { [ "$component" = runner ] && [ "$kind" = docker ]; }

engine_socket() {
  for socket in /var/run/docker.sock /run/podman/podman.sock; do
    if [ -S "$socket" ]; then echo "$socket"; return 0; fi
  done
  return 1
}

check_disk() {
  folder=$prefix
  while ! [ -d "$folder" ]; do folder=$(dirname "$folder"); done
  free=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
  [ "$free" -ge "$NEEDED_KB" ] || lacks '' "disk space: $folder has $((free / 1024)) MiB, $((NEEDED_KB / 1024)) MiB are needed"
}

# The command that installs what is missing, one word a line.
package_command() {
  if command -v apt-get >/dev/null 2>&1; then
    set -- apt-get install -y
    names=$packages
  elif command -v dnf >/dev/null 2>&1; then
    set -- dnf install -y
    names=$(printf '%s' "$packages" | sed 's/libstdc++6/libstdc++/; s/docker\.io/moby-engine/')
  else
    return 1
  fi
  # shellcheck disable=SC2086 # a list of package names
  printf '%s ' "$@" $names
}

require_machine() {
  check_machine
  [ "$missing" = yes ] || return 0
  if [ -n "$packages" ] && line=$(package_command); then
    if [ "$install_deps" = no ] && [ "$dry_run" = no ] && confirmed "install them now with '$line'?"; then install_deps=yes; fi
    if [ "$install_deps" = yes ] && ! would "run $line"; then
      say "running $line"
      # shellcheck disable=SC2086 # words of our own
      DEBIAN_FRONTEND=noninteractive $line </dev/null >/dev/null || stop "$EXIT_MISSING" "the packages could not be installed"
      check_machine
      [ "$missing" = yes ] || return 0
    else
      warn "to install it: $line"
    fi
  fi
  stop "$EXIT_MISSING" "nothing was changed"
}

confirmed() {
  [ -t 2 ] && (: </dev/tty) 2>/dev/null || return 1
  printf 'install: %s [y/N] ' "$1" >&2
  read -r answer </dev/tty || return 1
  [ "$answer" = y ] || [ "$answer" = Y ]
}

# --- Fetching --------------------------------------------------------------------------------------------------------

from_network() { case $from in http*) return 0 ;; *) return 1 ;; esac }

# fetch ADDRESS FILE: over what the address says and nothing else.
fetch() {
  protocol=${1%%:*}
  set -- "$1" "$2" --fail --silent --show-error --proto "=$protocol" --connect-timeout 20 --max-time 1800 --retry 3
  [ -z "$ca" ] || set -- "$@" --cacert "$ca"
  what=$1 target=$2
  shift 2
  curl "$@" --output "$target" "$what" 2>"$work/curl.log" || {
    status=$?
    cat "$work/curl.log" >&2
    case $status in
      35 | 51 | 58 | 60 | 77 | 83 | 90 | 91)
        failed "the certificate of $what is not trusted, so nothing was taken from it; for an authority of your own give --ca FILE" ;;
      22) failed "$what is not there; is the release in SHIPFOX_RELEASES_DIR of the control plane?" ;;
      *) failed "$what did not answer; check the address and the network" ;;
    esac
  }
}

find_version() {
  if from_network; then
    fetch "$from/SHA256SUMS" "$work/SHA256SUMS"
  elif [ -n "$from" ]; then
    [ -d "$from" ] || { tarball_name=$(basename "$from"); from=$(dirname "$from"); }
    [ -r "$from/SHA256SUMS" ] || failed "$from has no SHA256SUMS, so nothing in it can be trusted"
    cp "$from/SHA256SUMS" "$work/SHA256SUMS"
  else
    [ -n "$url" ] || misuse "--url or --from is needed"
    fetch "$url/" "$work/home"
    fetch "$url/releases/SHA256SUMS" "$work/SHA256SUMS"
    [ -n "$version" ] || version=$(sed -n 's/.*"version":"\([0-9A-Za-z.-]*\)".*/\1/p' "$work/home")
  fi
  if [ -n "$tarball_name" ]; then
    version=${tarball_name#"$command"-}
    version=${version%"-linux-$arch.tar.gz"}
  fi
  if [ -z "$version" ]; then
    version=$(sed -n "s/^[0-9a-f]\{64\}  $command-\([0-9][0-9A-Za-z.-]*\)-linux-$arch\.tar\.gz\$/\1/p" "$work/SHA256SUMS" | sort -V | tail -n 1)
  fi
  matches "$version" '[0-9]+\.[0-9]+\.[0-9]+(-[0-9A-Za-z.-]+)?' || failed "there is no $command for linux-$arch among the releases"
  release=$command-$version-linux-$arch
}

# take FILE: into the work folder, its sum checked.
take() {
  grep -Ex "[0-9a-f]{64}  $(printf '%s' "$1" | sed 's/\./\\./g')" "$work/SHA256SUMS" >"$work/sum" ||
    failed "SHA256SUMS does not list $1"
  if from_network; then
    fetch "$from/$1" "$work/$1"
  elif [ -n "$from" ]; then
    [ -f "$from/$1" ] || failed "$from has no $1"
    ln -s "$from/$1" "$work/$1"
  else
    fetch "$url/releases/$1" "$work/$1"
  fi
  (cd "$work" && sha256sum -c --strict --status sum) || failed "$1 does not have the checksum in SHA256SUMS; nothing was changed"
}

unpack() {
  tar -tzf "$work/$release.tar.gz" >"$work/names" 2>/dev/null || failed "$release.tar.gz is damaged; nothing was changed"
  if grep -Eqv "^$release/" "$work/names" || grep -Eq '(^|/)\.\.(/|$)' "$work/names"; then
    failed "$release.tar.gz has files outside of its folder; nothing was changed"
  fi
  mkdir "$work/unpacked"
  tar -xzf "$work/$release.tar.gz" -C "$work/unpacked" --no-same-owner || failed "$release.tar.gz cannot be unpacked"
  chmod -R u+rwX,go+rX,go-w "$work/unpacked"
  answer=$("$work/unpacked/$release/bin/$command" --version 2>&1) || failed "the new program does not run on this machine: $answer"
  [ "$answer" = "$version" ] || failed "the new program calls itself $answer and not $version"
}

# --- Installing ------------------------------------------------------------------------------------------------------

installed_version() {
  [ -L "$current" ] || return 0
  target=$(readlink "$current")
  target=${target#"$command"-}
  echo "${target%-linux-*}"
}

# point NAME: makes that release the current one, at once and whole.
point() {
  ln -s "$1" "$current.new"
  mv -Tf "$current.new" "$current"
}

# write FILE MODE OWNER: standard input, never half written; says whether it changed.
write() {
  if [ -f "$1" ] && cmp -s "$1" "$work/text"; then return 0; fi
  ( umask 077 && cat "$work/text" >"$1.new" )
  chown "$3" "$1.new"
  chmod "$2" "$1.new"
  mv -f "$1.new" "$1"
  changed=yes
}

place_program() {
  mkdir -p "$lib" "$prefix/bin"
  if ! [ -d "$lib/$release" ]; then
    mv "$work/unpacked/$release" "$lib/$release"
    placed=yes
  fi
  [ -L "$prefix/bin/$command" ] || ln -s "../lib/shipfox/$component/bin/$command" "$prefix/bin/$command"
}

place_account() {
  if ! id "$account" >/dev/null 2>&1; then
    printf 'u %s - "Shipfox %s" %s\n' "$account" "$component" "$state" | systemd-sysusers - >/dev/null
    : >"$lib/.made-$account"
  fi
  # What is put there before the first start, such as a backup, is to be the account's.
  if ! [ -d "$state" ]; then
    mkdir -p "$STATE_DIR"
    install -d -m 700 -o "$account" -g "$account" "$state"
  fi
}

# set_variable NAME VALUE: in the settings; what somebody wrote there by hand stays.
set_variable() {
  if [ -n "$2" ] && ! grep -qxF -- "$1=$2" "$work/settings"; then
    grep -v "^$1=" "$work/settings" >"$work/settings.new" || :
    printf '%s=%s\n' "$1" "$2" >>"$work/settings.new"
    mv "$work/settings.new" "$work/settings"
  fi
}

# default_variable NAME VALUE: unless the settings have one.
default_variable() { grep -q "^[[:space:]]*$1[[:space:]]*=" "$work/settings" || set_variable "$1" "$2"; }

# The commands of root about the service find it by this; its unit alone would tell only the service.
name_state() {
  case $component in
    control-plane) default_variable SHIPFOX_DATA_DIR "$state" ;;
    runner) default_variable SHIPFOX_RUNNER_STATE_DIR "$state" ;;
    provisioner) default_variable SHIPFOX_PROVISIONER_STATE_DIR "$state" ;;
  esac
}

# complete_settings: what an older installer has not written yet, of all services.
complete_settings() {
  selected=$service kept=$changed
  services >"$work/services"
  while IFS= read -r each; do
    select_service "${each%.service}"
    [ -e "$env_file" ] || continue
    cat "$env_file" >"$work/settings"
    name_state
    cp "$work/settings" "$work/text"
    write "$env_file" 600 "$account:$account"
  done <"$work/services"
  select_service "$selected"
  # Not for the service, so not worth its restart.
  changed=$kept
}

place_settings() {
  mkdir -p "$CONFIG_DIR"
  chmod 755 "$CONFIG_DIR"
  cat "$env_file" >"$work/settings" 2>/dev/null || : >"$work/settings"
  if [ -n "$ca" ]; then
    cp "$ca" "$work/text"
    write "$CONFIG_DIR/$instance-ca.pem" 644 root:root
  fi
  if [ "$component" = runner ]; then
    set_variable SHIPFOX_API_URL "$url"
    set_variable SHIPFOX_RUNNER_LABELS "$labels"
    set_variable SHIPFOX_RUNNER_SANDBOX "$kind"
    if [ -n "$ca" ]; then set_variable SHIPFOX_RUNNER_CA_FILE "$CONFIG_DIR/$instance-ca.pem"; fi
    set_variable SHIPFOX_RUNNER_IMAGE "${SHIPFOX_RUNNER_IMAGE:-}"
    if [ -n "$name" ]; then set_variable SHIPFOX_RUNNER_NAME "$(uname -n)-$name"; fi
  elif [ "$component" = provisioner ]; then
    set_variable SHIPFOX_API_URL "$url"
    if [ -n "$ca" ]; then set_variable SHIPFOX_PROVISIONER_CA_FILE "$CONFIG_DIR/$instance-ca.pem"; fi
  else
    if [ -n "$listen" ]; then
      host=${listen%:*}
      host=${host#\[}
      set_variable HOST "${host%\]}"
      set_variable PORT "${listen##*:}"
    fi
    set_variable SHIPFOX_PUBLIC_URL "$url"
    set_variable SHIPFOX_RELEASES_DIR "$lib/releases"
  fi
  name_state
  cp "$work/settings" "$work/text"
  write "$env_file" 600 "$account:$account"
}

place_unit() {
  # The runner reads its settings itself, so that a reload can read them again.
  sed -e "s#/usr/local/bin/#$prefix/bin/#" -e "s#$CONFIG_DIR/$component\.env#$env_file#" \
    -e "s#$STATE_DIR/$component\$#$state#" -e "s#^StateDirectory=.*#StateDirectory=shipfox/$instance#" \
    -e "s#^User=.*#User=$account#" -e "s#^Group=.*#Group=$account#" \
    "$current/systemd/$command.service" >"$work/text"
  write "$UNIT_DIR/$unit" 644 root:root
  if [ "$component" = runner ] && [ "$kind" = host ]; then
    mkdir -p "$drop_ins"
    printf '%s\n' '# Steps run beside the runner and need what an ordinary program needs.' '[Service]' \
      'SupplementaryGroups=' 'RestrictNamespaces=no' 'PrivateTmp=no' 'ReadWritePaths=/tmp /var/tmp' >"$work/text"
    write "$drop_ins/host-sandbox.conf" 644 root:root
  elif [ -e "$drop_ins/host-sandbox.conf" ]; then
    rm -f "$drop_ins/host-sandbox.conf"
    rmdir "$drop_ins" 2>/dev/null || :
    changed=yes
  fi
  if [ -n "$group" ]; then
    mkdir -p "$drop_ins"
    printf '%s\n' '# What the driver needs: the socket of the Docker Engine, or /dev/kvm.' '[Service]' \
      "SupplementaryGroups=$group" >"$work/text"
    write "$drop_ins/group.conf" 644 root:root
  fi
}

# --- The image of jobs that name none --------------------------------------------------------------------------------

# engine METHOD PATH [ARGUMENT...]: asks the engine of this machine; its command need not be there.
engine() {
  method=$1 way=$2
  shift 2
  curl --silent --show-error --fail --unix-socket "$(engine_socket)" --request "$method" "$@" "http://engine$way" 2>"$work/engine.log"
}

has_image() { engine GET "/images/$1/json" --output /dev/null; }

# The one that the operator names, else one that is here, else a public one, else the one of this release.
provide_image() {
  uses_engine && [ "$action" = install ] || return 0
  if [ -n "${SHIPFOX_RUNNER_IMAGE:-}" ] || [ -n "$(setting SHIPFOX_RUNNER_IMAGE "$env_file")" ]; then return 0; fi
  if has_image "$SANDBOX_IMAGE"; then return 0; fi
  if pull_image; then
    say "jobs that name no image get $PUBLIC_IMAGE"
  elif load_image; then
    say "jobs that name no image get the one of this release, $SANDBOX_IMAGE"
  else
    cat "$work/engine.log" >&2
    stop "$EXIT_MISSING" "there is no image for jobs: no registry answers, and the release has none. Name one with SHIPFOX_RUNNER_IMAGE; nothing was changed"
  fi
  image_is_ours=yes
}

# The engine asks the registry, because only it knows its proxies and mirrors.
pull_image() {
  engine GET "/distribution/$PUBLIC_IMAGE/json" --max-time "$REGISTRY_SECONDS" --output /dev/null || return 1
  say "pulling $PUBLIC_IMAGE"
  engine POST "/images/create?fromImage=${PUBLIC_IMAGE%:*}&tag=${PUBLIC_IMAGE##*:}" --max-time "$PULL_SECONDS" --output /dev/null || return 1
  # A pull that broke off is answered with 200 as well; then there is nothing to name.
  engine POST "/images/$PUBLIC_IMAGE/tag?repo=${SANDBOX_IMAGE%:*}&tag=${SANDBOX_IMAGE##*:}" --output /dev/null
}

load_image() {
  image_file=shipfox-sandbox-image-$version-linux-$arch.tar.gz
  grep -qF -- "  $image_file" "$work/SHA256SUMS" || return 1
  say "loading $image_file"
  take "$image_file"
  engine POST '/images/load?quiet=1' --header 'Content-Type: application/x-tar' --header 'Expect:' --upload-file "$work/$image_file" \
    --output /dev/null && has_image "$SANDBOX_IMAGE"
}

# --- The templates of a provisioner ----------------------------------------------------------------------------------

check_templates() {
  if [ -n "$templates" ]; then
    [ -r "$templates" ] || stop "$EXIT_MISSING" "the file of --templates cannot be read; nothing was changed"
  elif ! [ -e "$CONFIG_DIR/templates.yaml" ] && [ "$action" = install ]; then
    stop "$EXIT_MISSING" "--templates is needed: the file that says which machines to start. Nothing was changed"
  fi
}

# By the new program, before anything is changed.
validate_templates() {
  [ -n "$templates" ] || return 0
  program=$work/unpacked/$release
  [ -d "$program" ] || program=$lib/$release
  "$program/bin/$command" validate --offline --api-url "${url:-http://localhost:16101}" --templates-file "$templates" >"$work/validate.log" 2>&1 || {
    cat "$work/validate.log" >&2
    failed "the file of --templates is refused; nothing was changed"
  }
}

place_templates() {
  [ -n "$templates" ] || return 0
  cp "$templates" "$work/text"
  # The provisioner looks for changes of this file by itself.
  kept=$changed
  write "$CONFIG_DIR/templates.yaml" 640 "root:$account"
  changed=$kept
}

# What the control plane gives to its runners: the same release, for all architectures that are there. It is given away only from
# publish_releases on.
place_releases() {
  mkdir -p "$lib/releases"
  sed -n "s/^[0-9a-f]\{64\}  \(shipfox[0-9A-Za-z-]*-$version-linux-[0-9a-z]*\.tar\.gz\)\$/\1/p" "$work/SHA256SUMS" >"$work/files"
  while IFS= read -r file; do
    [ -e "$work/$file" ] || take "$file"
    cp "$work/$file" "$lib/releases/$file.new"
    chmod 644 "$lib/releases/$file.new"
    mv -f "$lib/releases/$file.new" "$lib/releases/$file"
  done <"$work/files"
}

publish_releases() {
  grep -F -- "-$version-linux-" "$work/SHA256SUMS" >"$work/text"
  write "$lib/releases/SHA256SUMS" 644 root:root
  remove_unlisted_releases
}

remove_unlisted_releases() {
  for file in "$lib"/releases/shipfox*.tar.gz; do
    grep -qF -- "  $(basename "$file")" "$lib/releases/SHA256SUMS" || rm -f "$file"
  done
}

# --- The token: by file to systemd, by systemd to the service. A runner's is good for its registration, then gone --------

# Whether the service has what it shows to the control plane.
has_credential() {
  case $component in
    runner) [ -s "$state/credential.json" ] ;;
    provisioner) [ -e "$CONFIG_DIR/$instance.token" ] ;;
    *) : ;;
  esac
}

# A provisioner's token is one for good, and can be replaced.
wants_token() {
  ! has_credential || { [ "$component" = provisioner ] && [ -n "$token_file${SHIPFOX_TOKEN:-}" ]; }
}

read_token() {
  token='' how='"shipfox runners add"' what=mrt
  if [ "$component" = provisioner ]; then how='"shipfox provisioners tokens create NAME"' what=pt; fi
  if [ -n "$token_file" ]; then
    [ -r "$token_file" ] || stop "$EXIT_MISSING" "the file of --token-file cannot be read; nothing was changed"
    token=$(cat "$token_file")
  elif [ -n "${SHIPFOX_TOKEN:-}" ]; then
    token=$SHIPFOX_TOKEN
  elif [ -t 2 ] && (: </dev/tty) 2>/dev/null && [ "$dry_run" = no ]; then
    printf 'install: token, from %s: ' "$how" >&2
    stty -echo </dev/tty
    read -r token </dev/tty || :
    stty echo </dev/tty
    echo >&2
  fi
  unset SHIPFOX_TOKEN
  matches "$token" "sf_${what}_[A-Za-z0-9_-]{20,200}" ||
    stop "$EXIT_MISSING" "a token that begins with sf_${what}_ is needed (SHIPFOX_TOKEN or --token-file); $how prints one. Nothing was changed"
}

place_token() {
  printf '%s\n' "$token" >"$work/text"
  write "$CONFIG_DIR/$instance.token" 600 root:root
  # The unit of a provisioner names its token by itself.
  [ "$component" = runner ] || return 0
  mkdir -p "$drop_ins"
  printf '%s\n' '# Until the token has been exchanged for a credential of this runner.' '[Service]' \
    "LoadCredential=registration-token:$CONFIG_DIR/$instance.token" \
    "Environment=SHIPFOX_RUNNER_REGISTRATION_TOKEN_FILE=/run/credentials/$unit/registration-token" >"$work/text"
  write "$drop_ins/registration.conf" 644 root:root
}

drop_token() {
  [ "$component" = runner ] || return 0
  rm -f "$CONFIG_DIR/$instance.token" "$drop_ins/registration.conf"
  rmdir "$drop_ins" 2>/dev/null || :
  systemctl daemon-reload
}

# --- Running ---------------------------------------------------------------------------------------------------------

services() {
  if [ "$component" = runner ]; then
    for file in "$UNIT_DIR/shipfox-runner.service" "$UNIT_DIR"/shipfox-runner@*.service; do
      [ ! -e "$file" ] || basename "$file"
    done
  else
    echo "$unit"
  fi
}

is_healthy() {
  systemctl is-active --quiet "$1" || return 1
  [ "$component" = control-plane ] || return 0
  # Its certificate names it for others. What is asked here is only whether it works.
  ! command -v curl >/dev/null 2>&1 || curl --fail --silent --insecure --output /dev/null --max-time 5 "$(own_address)/readyz"
}

# own_address: where programs of this machine reach its control plane.
own_address() {
  scheme=http host=$(setting HOST "$env_file") port=$(setting PORT "$env_file")
  [ -z "$(setting SHIPFOX_TLS_CERT_FILE "$env_file")" ] || scheme=https
  case $host in
    '' | 0.0.0.0 | :: | 127.0.0.1) host=localhost ;;
    *:*) host="[$host]" ;;
  esac
  echo "$scheme://$host:${port:-16101}"
}

say_stopping() {
  if [ "$component" = runner ]; then say "stopping $1, which ends its jobs first"; else say "stopping $1"; fi
}

# start_unit UNIT: true when it runs and goes on running.
start_unit() {
  systemctl reset-failed "$1" 2>/dev/null || :
  systemctl start "$1" 2>"$work/start.log" || { cat "$work/start.log" >&2; return 1; }
  waited=0
  until is_healthy "$1"; do
    [ "$waited" -lt "$HEALTH_SECONDS" ] || return 1
    sleep 1
    waited=$((waited + 1))
  done
}

show_log() { journalctl --unit "$1" --lines 15 --no-pager --output cat >&2 || :; }

first_start() {
  systemctl enable --quiet "$unit"
  [ "$start" = yes ] || { say "installed and not started; start it with: systemctl start $service"; return 0; }
  if systemctl is-active --quiet "$unit"; then
    [ "$changed" = no ] || systemctl restart "$unit"
  fi
  if start_unit "$unit"; then
    if [ "$component" = runner ] && [ -e "$CONFIG_DIR/$instance.token" ]; then await_registration; fi
    say "$service $version runs; its log: journalctl -u $service -f"
    return 0
  fi
  show_log "$unit"
  [ ! -e "$CONFIG_DIR/$instance.token" ] || drop_token
  failed "$service does not run; its last words stand above. Correct what they name, then run this again (with a new token if that one was used)"
}

# systemd takes a runner for started when its control plane is away: then there is nothing to show for the token yet.
await_registration() {
  waited=0
  until has_credential; do
    if [ "$waited" -ge "$HEALTH_SECONDS" ] || ! systemctl is-active --quiet "$unit"; then
      show_log "$unit"
      failed "the runner is not registered yet; the token stays in $CONFIG_DIR/$instance.token until this is run again"
    fi
    sleep 1
    waited=$((waited + 1))
  done
  drop_token
  say "registered; the copy of the token was deleted"
}

# as_control_plane ARGUMENTS: a command of the release that comes, with the settings and the account of the service.
as_control_plane() {
  systemd-run --quiet --wait --pipe --collect --property "EnvironmentFile=$env_file" --property "User=$account" \
    --setenv "SHIPFOX_DATA_DIR=$state" "$lib/$release/bin/$command" "$@" </dev/null
}

# An older control plane does not open a database that a newer one has changed: said while the newer one still runs.
check_database() {
  [ "$component" = control-plane ] || return 0
  as_control_plane migrate --status >"$work/schema.log" 2>&1 || {
    cat "$work/schema.log" >&2
    failed "$version cannot work with the database as it is; $before was not touched. The way back is a backup from before the upgrade"
  }
}

# What this run has brought, when it ends before anything uses that.
drop_unused_release() {
  [ "$unused" = yes ] || return 0
  [ "$placed" = no ] || rm -rf "${lib:?}/$release"
  [ "$component" != control-plane ] || remove_unlisted_releases
}

# switch_to RELEASE: the program and the units of all services that run it.
switch_to() {
  point "$1"
  selected=$service
  while IFS= read -r each; do
    select_service "${each%.service}"
    place_unit
  done <"$work/services"
  select_service "$selected"
  systemctl daemon-reload
}

# Stops what runs (a runner drains first), switches, starts, and switches back when the new version is not healthy.
upgrade_services() {
  before=$1 unused=yes
  check_database
  [ "$component" != control-plane ] || place_releases
  services >"$work/services"
  : >"$work/running"
  while IFS= read -r each; do
    if systemctl is-active --quiet "$each"; then
      echo "$each" >>"$work/running"
      say_stopping "${each%.service}"
      systemctl stop "$each"
    fi
  done <"$work/services"
  unused=no
  switch_to "$release"
  while IFS= read -r each; do
    start_unit "$each" && continue
    show_log "$each"
    warn "$each is not healthy with $version; going back to $before"
    switch_to "$command-$before-linux-$arch"
    while IFS= read -r other; do
      systemctl stop "$other" || :
      start_unit "$other" && continue
      show_log "$other"
      warn "$other does not run with $before either; its last words stand above"
    done <"$work/running"
    unused=yes
    failed "not upgraded"
  done <"$work/running"
  [ "$component" != control-plane ] || publish_releases
}

remove_other_releases() {
  keep=$1 also=$2
  for folder in "$lib/$command"-[0-9]*; do
    case $(basename "$folder") in
      "$command-$keep-linux-$arch" | "$command-$also-linux-$arch") ;;
      *) [ ! -d "$folder" ] || rm -rf "$folder" ;;
    esac
  done
}

# What somebody wrote into the settings by hand becomes a part of addresses here.
check_settings() {
  [ "$component" = control-plane ] || return 0
  valid "HOST in $env_file" "$(setting HOST "$env_file")" '[A-Za-z0-9.:_-]*' "a name or an address"
  valid "PORT in $env_file" "$(setting PORT "$env_file")" '[0-9]{0,5}' "a port such as 16101"
}

# A machine may have only runners with names: the first of them speaks for all, as they are upgraded together.
select_first_service() {
  [ "$action" = upgrade ] && ! [ -e "$UNIT_DIR/$unit" ] || return 0
  services | head -n 1 >"$work/first"
  while IFS= read -r first; do select_service "${first%.service}"; done <"$work/first"
}

# Where the service has its control plane.
take_own_url() {
  found=$(setting SHIPFOX_API_URL "$env_file")
  [ -n "$found" ] || misuse "$env_file names no control plane, so --url or --from is needed"
  take_url "SHIPFOX_API_URL in $env_file" "$found"
  check_address
}

install_component() {
  work=$(mktemp -d)
  select_first_service
  check_settings
  check_address
  require_machine
  [ -z "$ca" ] || [ -r "$ca" ] || stop "$EXIT_MISSING" "the file of --ca cannot be read; nothing was changed"
  before=$(installed_version)
  if [ "$action" = upgrade ]; then
    [ -n "$before" ] || failed "$component is not installed here"
    if [ -z "$url$from" ] && [ "$component" != cli ]; then take_own_url; fi
  fi
  [ "$component" != provisioner ] || check_templates
  needs_token=no
  if [ "$action" = install ] && [ "$start" = yes ] && wants_token; then
    [ -n "$url" ] || misuse "--url is needed: the address of the control plane"
    needs_token=yes
    read_token
  fi
  find_version
  if would "install $release from ${from:-$url} into $lib, with the link $prefix/bin/$command"; then
    [ "$component" = cli ] || would "write $env_file, $UNIT_DIR/$unit${templates:+, $CONFIG_DIR/templates.yaml} and the account $account, and start $service"
    return 0
  fi
  if [ "$before" != "$version" ] || ! [ -d "$lib/$release" ]; then
    take "$release.tar.gz"
    unpack
    validate_templates
    provide_image
    place_program
  elif [ "$component" = cli ]; then
    say "shipfox $version is installed already"
    return 0
  else
    validate_templates
    provide_image
  fi
  changed=no
  if [ "$component" = cli ]; then
    point "$release"
    remove_other_releases "$version" "$version"
    say "installed shipfox $version; try: shipfox --help"
    return 0
  fi
  if [ -n "$before" ] && [ "$before" != "$version" ]; then
    upgrade_services "$before"
    remove_other_releases "$version" "$before"
    say "$component: $before became $version"
    complete_settings
    [ "$action" = install ] || return 0
  elif [ "$component" = control-plane ]; then
    place_releases
    publish_releases
  fi
  if [ "$action" = upgrade ]; then complete_settings; say "$component $version is installed already"; return 0; fi
  [ "$before" = "$version" ] || point "$release"
  if [ "$image_is_ours" = yes ]; then : >"$lib/.loaded-image"; fi
  place_account
  place_settings
  place_unit
  place_templates
  if [ "$needs_token" = yes ]; then place_token; fi
  systemctl daemon-reload
  first_start
  [ -z "$admin" ] || welcome
}

# --- The first minute ------------------------------------------------------------------------------------------------

# What a person needs who has nothing yet: the command line, an account, and something to run.
welcome() {
  ask_admin_password
  (
    component=cli command=shipfox current=$lib/cli release=shipfox-$version-linux-$arch
    rm -rf "$work/unpacked"
    if ! [ -d "$lib/$release" ]; then
      [ -e "$work/$release.tar.gz" ] || take "$release.tar.gz"
      unpack
    fi
    place_program
    point "$release"
  )
  here=$(own_address)
  # A certificate is good for the name that others use.
  case $here in https://*) here=${url:-$here} ;; esac
  case $here in
    http://localhost:*) ;;
    *) take_setup_token ;;
  esac
  printf '%s\n' "$password" |
    as_person login --url "$here" --signup --name "${admin%%@*}" --email "$admin" --password-stdin >"$work/welcome.log" 2>&1 || {
      if grep -Eq '\((signup-not-allowed|email-taken)\)' "$work/welcome.log"; then
        say "there is an account already, so none was made; to sign in: shipfox login --url $here"
        return 0
      fi
      cat "$work/welcome.log" >&2
      failed "the control plane runs, and the account was not made; to make it: shipfox login --url $here --signup"
    }
  unset SHIPFOX_SETUP_TOKEN
  place_hello
  { as_person workspaces create main && as_person projects create --repo "$state/repositories/hello" --name hello; } >"$work/welcome.log" 2>&1 || {
    cat "$work/welcome.log" >&2
    failed "the account $admin is made; its project is not"
  }
  [ "$made_up" = no ] || say "the password of $admin, shown only now: $password"
  say "$admin is signed in on this machine; the workspace main has the project hello"
  if [ -n "$url" ] && [ "$url" != "$here" ]; then
    printf '%s\n' "$password" | as_person login --url "$url" --email "$admin" --password-stdin >/dev/null 2>&1 ||
      warn "$url does not lead here yet; when it does: shipfox login --url $url"
  fi
  say "next, on a machine that shall run jobs (this one will do):"
  as_person runners add --json | sed -n 's/.*"command": *"\([^"]*\)".*/\n  \1\n/p' >"$work/line"
  command -v sudo >/dev/null 2>&1 || sed -i 's/| sudo /| /' "$work/line"
  cat "$work/line"
  say "then: shipfox run hello --follow"
}

# Whoever comes by an address of the network, and be it from this machine, needs it for the first account.
take_setup_token() {
  SHIPFOX_SETUP_TOKEN=$(as_control_plane setup) ||
    failed "the control plane runs and gives no setup token; make the account with: shipfox login --signup --url $here"
  export SHIPFOX_SETUP_TOKEN
}

ask_admin_password() {
  password=${SHIPFOX_PASSWORD:-} made_up=no
  unset SHIPFOX_PASSWORD
  if [ -z "$password" ] && [ -t 2 ] && (: </dev/tty) 2>/dev/null; then
    printf 'install: password for %s (empty: one is made up): ' "$admin" >&2
    stty -echo </dev/tty
    read -r password </dev/tty || :
    stty echo </dev/tty
    echo >&2
  fi
  if [ -z "$password" ]; then
    password=$(head -c 15 /dev/urandom | base64 | tr '+/' '-_')
    made_up=yes
  fi
}

# as_person ARGUMENTS: the command line of the one who called sudo, whose sign-in it is.
as_person() {
  if [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
    home=$(getent passwd "$SUDO_USER" | cut -d : -f 6)
    env -u XDG_CONFIG_HOME "HOME=$home" runuser -u "$SUDO_USER" -- "$prefix/bin/shipfox" "$@"
  else
    "$prefix/bin/shipfox" "$@"
  fi
}

place_hello() {
  hello=$state/repositories/hello
  [ ! -d "$hello/.git" ] || return 0
  mkdir -p "$hello/.shipfox/workflows"
  cat >"$hello/.shipfox/workflows/hello.yml" <<'END'
name: hello
runner: linux
triggers:
  by_hand: { source: manual, event: fire }
jobs:
  hello:
    checkout: false
    steps:
      - run: echo "Hello from $(uname -n). This job ran on your own machine."
END
  git -C "$hello" init --quiet --initial-branch=main
  git -C "$hello" add --all
  git -C "$hello" -c user.name=Shipfox -c "user.email=$admin" -c commit.gpgsign=false commit --quiet --message="Say hello"
  chown -R "$account:$account" "$state/repositories"
}

# --- Removing --------------------------------------------------------------------------------------------------------

remove_service() {
  if [ -e "$UNIT_DIR/$unit" ]; then
    [ "$component" != provisioner ] || drain_provisioner
    say_stopping "$service"
    systemctl disable --quiet --now "$unit" || :
    rm -f "$UNIT_DIR/$unit"
    rm -rf "$drop_ins"
    systemctl daemon-reload
    systemctl reset-failed "$unit" 2>/dev/null || :
  fi
  [ "$component" != runner ] || rm -f "$CONFIG_DIR/$instance.token"
}

# Nobody would remove its machines afterwards.
drain_provisioner() {
  systemctl is-active --quiet "$unit" || {
    warn "$service does not run, so machines that it has started may be left; what they are called: shipfox provisioners instances list --open"
    return 0
  }
  say "draining $service: machines with a job end it first"
  # Without the settings of the person who calls, such as another token or its file.
  env -i "PATH=$PATH" runuser -u "$account" -- "$prefix/bin/$command" drain --state-dir "$state" --wait "$DRAIN_SECONDS" >"$work/drain.log" 2>&1 || {
    cat "$work/drain.log" >&2
    warn "not all of its machines are removed; what they are called: shipfox provisioners instances list --open"
  }
}

remove_program() {
  rm -f "$prefix/bin/$command" "$current"
  rm -rf "${lib:?}/$command"-[0-9]*
  if [ "$component" = control-plane ]; then rm -rf "$lib/releases"; fi
}

# An account is not removed while a process of it is ending, such as that of a job or of a machine.
remove_account() {
  waited=0
  until userdel "$account" 2>"$work/userdel.log"; do
    if [ "$waited" -ge "$ACCOUNT_SECONDS" ]; then
      cat "$work/userdel.log" >&2
      warn "the account $account could not be removed; to do it later: userdel $account"
      return 0
    fi
    sleep 1
    waited=$((waited + 1))
  done
}

remove_data() {
  rm -rf "$state" "$env_file" "$CONFIG_DIR/$instance-ca.pem"
  [ "$component" != provisioner ] || rm -f "$CONFIG_DIR/$instance.token" "$CONFIG_DIR/templates.yaml"
  rmdir "$STATE_DIR" "$CONFIG_DIR" 2>/dev/null || :
  if [ "$component" = runner ] && [ -e "$lib/.loaded-image" ] && ! services | grep -qvx "$unit"; then
    engine DELETE "/images/$SANDBOX_IMAGE" --output /dev/null || warn "the image $SANDBOX_IMAGE could not be removed"
    rm -f "$lib/.loaded-image"
  fi
  if [ -e "$lib/.made-$account" ] && ! services | grep -qvx "$unit"; then
    remove_account
    if getent group "$account" >/dev/null; then groupdel "$account" || :; fi
    rm -f "$lib/.made-$account"
  fi
}

uninstall_component() {
  [ "$component" = cli ] || [ "$(id -u)" = 0 ] || stop "$EXIT_MISSING" "missing: root: run this with sudo"
  if would "stop and remove $service and $lib/$component"; then
    [ "$purge" = no ] || would "remove $env_file, $state and the account $account"
    return 0
  fi
  work=$(mktemp -d)
  [ "$component" = cli ] || remove_service
  # Other runners of this machine use the same program.
  if [ "$component" = cli ] || ! services | grep -qvx "$unit"; then remove_program; fi
  if [ "$purge" = yes ] && [ "$component" != cli ]; then remove_data; fi
  rmdir "$lib" 2>/dev/null || :
  if [ "$purge" = yes ] || [ "$component" = cli ]; then
    say "$component is removed"
  else
    say "$component is removed; $env_file and $state stay, uninstall --purge removes them as well"
  fi
}

# All of it is read before any of it runs: a download that was cut off does nothing.
main() {
  work='' tarball_name='' unused=no
  umask 022
  read_arguments "$@"
  trap 'drop_unused_release; [ -z "$work" ] || rm -rf "$work"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' HUP TERM
  if [ "$action" = uninstall ]; then uninstall_component; else install_component; fi
}

main "$@"
