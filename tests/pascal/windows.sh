#!/bin/sh
# Makes Free Pascal able to compile for Windows: a compiler for 32 bits, and the runtime library for
# 32 and 64 bits. Debian has none of them ready, but the sources (package fpc-source). Seconds.
#
#   windows.sh FOLDER    FOLDER gets ppcross386, and the units in win32 and win64
set -e
mkdir -p "$1"
to=$(cd "$1" && pwd)
version=$(fpc -iV)
sources=/usr/share/fpcsrc/$version
messages=$(dirname "$(readlink -f "$(command -v ppcx64)")")/msg/errore.msg
for needed in "$sources/rtl/win32" "$messages"; do
    [ -e "$needed" ] || { echo "$needed is missing: please install fp-compiler and fpc-source" >&2; exit 1; }
done
# The warnings are about Free Pascal's own sources.
quietly() { "$@" >"$to/log" 2>&1 || { cat "$to/log" >&2; exit 1; }; }

mkdir -p "$to/compiler" "$to/win32" "$to/win64"
quietly fpc -FU"$to/compiler" -o"$to/msg2inc" "$sources/compiler/utils/msg2inc.pp"
cd "$to/compiler"
quietly "$to/msg2inc" "$messages" msg msg
cd "$sources/compiler"
quietly fpc -Mobjfpc -di386 -dfpc_cross -dGDB -Fui386 -Fux86 -Fusystems -Fii386 -Fix86 \
    -Fi"$to/compiler" -O1 -FU"$to/compiler" -o"$to/ppcross386" pp.pas

runtime() { # COMPILER PROCESSOR TARGET
    cd "$sources/rtl/$3"
    for step in "-Us system.pp" ../inc/uuchar.pp ../objpas/objpas.pp buildrtl.pp; do
        # shellcheck disable=SC2086
        quietly "$1" -n -T"$3" -FU"$to/$3" -O1 -XX -Sgi \
            -Fi../win -Fi../inc -Fi"../$2" -Fi../objpas -Fi../objpas/sysutils -Fi../objpas/classes \
            -Fi../win/wininc -Fi../charmaps -Fu../win -Fu../inc -Fu"../$2" -Fu../objpas \
            -Fu../objpas/sysutils -Fu../objpas/classes -Fu../charmaps $step
    done
}
runtime "$to/ppcross386" i386 win32
runtime ppcx64 x86_64 win64
