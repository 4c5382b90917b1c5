#!/bin/sh
# The login shell of every account of a private sshd: writes down what it was asked for, byte for byte, and is /bin/sh.
# A record is: kind, login, terminal, the client's port, the line; each ends with a NUL.
directory=${0%/*}
kind=shell
line=
if [ "$1" = -c ]; then
    kind=exec
    line=$2
    if [ "$line" = "$directory/sftp-server" ]; then
        kind=subsystem
        line=sftp
    fi
fi
port=${SSH_CLIENT#* }
(
    flock 9
    printf '%s\0' "$kind" "$LOGNAME" "${SSH_TTY:-}" "${port%% *}" "$line" >&9
) 9>>"$directory/executed"
export SHELL=/bin/sh
[ $# -gt 0 ] || exec /bin/sh -l
exec /bin/sh "$@"
