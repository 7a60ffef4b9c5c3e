#!/usr/bin/env bash
# Make every vector again. Needs JDK 17, PHP 8.2 or later, CPython 3, g++, gcc on glibc, GSL's headers, Perl, Go, Lua 5.1,
# 5.3 and 5.4, LuaJIT, Node.js and npm, and a network for the pinned PyPI and npm packages, which go to a folder that is
# removed at the end.
set -euo pipefail
here=$(cd "$(dirname "$0")/make" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lines=$work/lines
mkdir "$lines"

cd "$work"
java --add-opens java.base/java.util.concurrent=ALL-UNNAMED --add-exports jdk.random/jdk.random=ALL-UNNAMED \
    --add-modules jdk.random "$here/Jdk.java" >"$lines/Jdk.java.lines"
g++ -std=c++17 -O2 -Wall -Wextra -o std "$here/libstdcxx.cpp"
./std >"$lines/libstdcxx.cpp.lines"
gcc -O2 -Wall -Wextra -o gsl "$here/gsl.c" -lgsl -lgslcblas -lm
./gsl >"$lines/gsl.c.lines"
gcc -O2 -Wall -Wextra -o glibc "$here/glibc.c" -lm
./glibc >"$lines/glibc.c.lines"
perl "$here/perl.pl" >"$lines/perl.pl.lines"
GOCACHE=$work/go go run "$here/go.go" >"$lines/go.go.lines"
for lua in lua51=lua5.1 lua53=lua5.3 lua54=lua5.4 luajit=luajit; do
    runtime=$("${lua#*=}" -v 2>&1 | cut -d' ' -f1,2)
    "${lua#*=}" "$here/lua.lua" "${lua%=*}.random" "$runtime"
done >"$lines/lua.lua.lines"
php "$here/php.php" >"$lines/php.php.lines"
python3 "$here/cpython.py" >"$lines/cpython.py.lines"
python3 "$here/paper.py" >"$lines/paper.py.lines"
python3 "$here/orig.py" >"$lines/orig.py.lines"

npm install --silent --no-audit --no-fund --prefix "$work" seedrandom@3.0.5 xorshift@1.2.0 >/dev/null
node "$here/npm.js" "$lines/Jdk.java.lines" >"$lines/npm.js.lines"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 randomgen==2.5.1 torch==2.13.0
venv/bin/python "$here/pypi.py" "$lines/Jdk.java.lines" >"$lines/pypi.py.lines"
venv/bin/python "$here/torch_cpu.py" >"$lines/torch_cpu.py.lines"

python3 "$here/assemble.py" "$lines" "$here/.."
python3 "$here/../check.py"
