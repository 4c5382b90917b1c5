# Runs sshd until it ends or SIGTERM comes, and leaves nothing behind of it: neither its connections, which would live on
# without it, nor what was started in them, which has the mark (SetEnv) in its environment.
mark=$1
shift

children() { grep -ls "^PPid:[[:space:]]*$1\$" /proc/[0-9]*/status | cut -d / -f 3; }
descendants() {
    local child
    for child in $(children "$1"); do
        echo "$child"
        descendants "$child"
    done
}
marked() { grep -lszxF "SLUICE_SSHD=$mark" /proc/[0-9]*/environ | cut -d / -f 3; }

end() {
    trap '' TERM
    # Stopped, it starts nothing new, and reaps nothing whose id is about to be used.
    kill -s STOP "$server" 2>/dev/null
    for process in $(descendants "$server"); do kill -s KILL "$process" 2>/dev/null; done
    kill -s KILL "$server" 2>/dev/null
    wait "$server"
    # What a daemon of theirs starts in between is found the next time; a zombie has no environment.
    while found=$(marked) && [ -n "$found" ]; do
        for process in $found; do kill -s KILL "$process" 2>/dev/null; done
    done
    exit 0
}
trap end TERM
"$@" &
server=$!
wait "$server"
end
