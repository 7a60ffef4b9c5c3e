#!/usr/bin/env bash
# Make every vector again. Needs JDK 17, PHP 8.2 or later, CPython 3, g++, gcc on glibc, GSL's headers, Node.js and npm, Ruby,
# Mono with mcs, MariaDB's server, WebKitGTK's jsc, Perl, Go, Lua 5.1, 5.3 and 5.4, LuaJIT, and a network for the pinned PyPI
# and npm packages, which go to a folder that is removed at the end.
set -euo pipefail
here=$(cd "$(dirname "$0")/make" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
lines=$work/lines
mkdir "$lines"

cd "$work"
java --add-opens java.base/java.util.concurrent=ALL-UNNAMED --add-exports jdk.random/jdk.random=ALL-UNNAMED \
    --add-modules jdk.random "$here/Jdk.java" >"$lines/Jdk.java.lines"
java "$here/History.java" >"$here/../histories/java.nextInt.json"
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

python3 "$here/windows.py" >"$lines/windows.py.lines"
ruby "$here/ruby.rb" >"$lines/ruby.rb.lines"
python3 "$here/mysql.py" "$(PATH=$PATH:/usr/sbin command -v mariadbd)" >"$lines/mysql.py.lines"

# Each Node.js has the V8 of its time. A family's words are seen where Math.random shows 53 bits.
for version in 22.23.3 24.21.0 26.10.0; do
    npm install --silent --no-audit --no-fund --prefix "$work/node$version" node@$version >/dev/null
done
for seed in 1 42 12345 2147483647 -1 -42 -2147483648; do
    "$work/node22.23.3/node_modules/.bin/node" --random-seed=$seed "$here/v8.js" $seed - v8_12.random
    "$work/node24.21.0/node_modules/.bin/node" --random-seed=$seed "$here/v8.js" $seed v8 v8_13.random
    "$work/node26.10.0/node_modules/.bin/node" --random-seed=$seed "$here/v8.js" $seed v8_plus v8_14.random
done >"$lines/v8.js.lines"
webkit=$(dpkg-query -W -f '${source:Upstream-Version}' libjavascriptcoregtk-4.0-bin)
for seed in 0 1 42 12345 2147483648 4294967295; do
    jsc --forceWeakRandomSeed=1 --forcedWeakRandomSeed=$seed "$here/jsc.js" -- $seed "$webkit"
done >"$lines/jsc.js.lines"

python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check numpy==2.4.6 randomgen==2.5.1 dotnetcore2==3.1.23 torch==2.13.0
venv/bin/python "$here/pypi.py" "$lines/Jdk.java.lines" >"$lines/pypi.py.lines"
venv/bin/python "$here/torch_cpu.py" >"$lines/torch_cpu.py.lines"

# One program under both runtimes: Mono's class library is that of .NET Framework 4.
mcs -out:Dotnet.exe "$here/Dotnet.cs"
mono Dotnet.exe "Mono $(mono --version=number)" >"$lines/Dotnet.cs.lines"
core=$(echo venv/lib/python3*/site-packages/dotnetcore2/bin/dotnet)
chmod +x "$core"
echo '{"runtimeOptions": {"framework": {"name": "Microsoft.NETCore.App", "version": "3.1.23"}}}' >Dotnet.runtimeconfig.json
DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 "$core" exec Dotnet.exe ".NET Core 3.1.23" >>"$lines/Dotnet.cs.lines"

python3 "$here/assemble.py" "$lines" "$here/.."
python3 "$here/../check.py"
