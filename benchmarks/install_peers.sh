#!/bin/sh
# Installs the peers for benchmarks/compare.py below one directory, each by name from its own registry:
#
#     benchmarks/install_peers.sh DIR [borg] [restic] [rustic] [kopia]      (default: all)
#     PATH="DIR/bin:$PATH" python3 benchmarks/compare.py --work ...
#
# Needs python3 with venv, a Go toolchain, a Rust toolchain; borgbackup may be built from source: libacl1-dev,
# libssl-dev, liblz4-dev, libzstd-dev, libxxhash-dev, pkg-config. rustic takes some ten minutes on two cores.
# A peer that cannot be had is named at the end, and compare.py leaves it out.
set -u

if [ $# -lt 1 ] || [ "$1" = "-h" ] || [ "$1" = "--help" ]; then
    sed -n '2,10s/^# \{0,1\}//p' "$0"
    exit 2
fi
mkdir -p "$1/bin" || exit 2
dir=$(cd "$1" && pwd) || exit 2
shift
[ $# -gt 0 ] || set -- borg restic rustic kopia

install_borg() {
    python3 -m venv "$dir/borg" &&
        "$dir/borg/bin/pip" install --quiet 'borgbackup==1.4.*' &&
        ln -sf ../borg/bin/borg "$dir/bin/borg"
}
install_restic() { GOBIN="$dir/bin" go install github.com/restic/restic/cmd/restic@latest; }
install_rustic() { cargo install --quiet --locked --root "$dir" rustic-rs; }
install_kopia() { GOBIN="$dir/bin" go install github.com/kopia/kopia@latest; }

missing=
for peer in "$@"; do
    case $peer in
        borg | restic | rustic | kopia) ;;
        *) echo "$peer: not a peer: borg, restic, rustic, kopia" >&2; exit 2 ;;
    esac
    if [ -x "$dir/bin/$peer" ]; then
        echo "$peer: already there"
    elif "install_$peer"; then
        echo "$peer: installed"
    else
        missing="$missing $peer"
    fi
done
[ -z "$missing" ] || { echo "not installed:$missing (the reason is above)" >&2; exit 1; }
