#!/usr/bin/env bash
# Run the tests in Krita against another Debian's Krita, in a chroot: `tools/krita_elsewhere.sh SUITE FOLDER [PYTEST OPTION...]`, as root.
# trixie has Krita 5.2 (PyQt5), sid Krita 5.3 (PyQt5), sid-experimental Krita 6 (PyQt6). Making the chroot takes minutes and 2 GB; it is kept for the next time.
# The daemon runs outside: tests in which Krita starts one itself (test_docker, test_making) cannot work here.
set -euo pipefail
suite="${1:?trixie, sid or sid-experimental}" folder="$(realpath -m "${2:?a folder for the chroot}")"
shift 2
cd "$(dirname "$0")/.."
extra=(krita imagemagick xdotool fonts-dejavu-core)
from=()
if [ "$suite" = sid-experimental ]; then extra+=(python3-pyqt6 qt6-svg-plugins) from=(-t experimental); else extra+=(python3-pyqt5); fi

if [ ! -x "$folder/usr/bin/krita" ]; then
    debootstrap --variant=minbase "${suite%-experimental}" "$folder"
    [ ${#from[@]} -eq 0 ] || echo 'deb http://deb.debian.org/debian experimental main' >"$folder/etc/apt/sources.list.d/experimental.list"
    chroot "$folder" apt-get -o Acquire::Check-Valid-Until=false update -qq
    DEBIAN_FRONTEND=noninteractive chroot "$folder" apt-get install -y -qq --no-install-recommends "${from[@]}" "${extra[@]}"
fi
mountpoint -q "$folder/proc" || mount -t proc proc "$folder/proc"
for place in dev tmp; do
    mountpoint -q "$folder/$place" || mount --bind "/$place" "$folder/$place"
done
trap 'for place in tmp dev proc; do umount "$folder/$place"; done' EXIT
tests=()
for name in pixels inpaint live seen guiding importing; do tests+=("tests/hosts/krita/test_$name.py"); done
GESSO_KRITA="/usr/sbin/chroot $folder krita" GESSO_KRITA_FILES="$folder/usr/share/krita" \
    "${VENV:-.venv}/bin/python" -m pytest -n 0 -m krita "${tests[@]}" "$@"
