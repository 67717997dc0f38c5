# Tells whether packages are installed whole, at these versions. Parameters: name and version of each. Prints `installed` or `other`.
set -u
while [ $# -gt 1 ]; do
    said=$(LC_ALL=C.UTF-8 dpkg-query -W -f '${db:Status-Eflag} ${db:Status-Status} ${Version}' "$1" 2>/dev/null)
    [ "$said" = "ok installed $2" ] || { echo other; exit 0; }
    shift 2
done
echo installed
