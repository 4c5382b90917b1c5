//! Programs that run others: where in their arguments the other one is.

/// What a program does with its arguments besides what it is.
pub(super) enum Kind {
    /// It runs the command behind its own options.
    Command(&'static Wrapper),
    /// It is a shell: `-c` is a text to run.
    Shell,
    /// It runs its arguments, joined, as a text.
    Joined,
    /// `su`.
    Su,
    /// `find`.
    Find,
    /// `ssh`.
    Ssh,
    /// `xargs`: the command behind its options, with arguments that nobody sees.
    Xargs,
    /// It sets variables of the shell.
    Variables,
    /// It changes where relative paths begin.
    Moves,
    /// It runs what cannot be seen here, or changes what later words mean.
    Opaque(&'static str),
    /// It runs what cannot be seen here where one of its arguments is one of these, or begins with it.
    OpaqueWith(&'static [&'static str]),
    /// As far as a line can tell, it runs nothing else.
    Plain,
}

/// How to find the command that a program runs.
pub(super) struct Wrapper {
    names: &'static [&'static str],
    /// One-letter options without a value.
    flags: &'static str,
    /// One-letter options with one.
    valued: &'static str,
    /// Long options without a value, and with `=`.
    long: &'static [&'static str],
    /// Words before the command.
    pub(super) skip: usize,
    /// Whether variables may be set before the command.
    pub(super) assigns: bool,
    /// Whether it runs somewhere else in the tree of files.
    pub(super) moves: bool,
    /// Whether it is for another user or place, and runs something where no command is named.
    pub(super) bare_runs: bool,
}

const PLAIN: Wrapper =
    Wrapper { names: &[], flags: "", valued: "", long: &[], skip: 0, assigns: false, moves: false, bare_runs: false };

/// Options that are not in the table make the command opaque.
static WRAPPERS: &[Wrapper] = &[
    Wrapper {
        names: &["env"],
        flags: "i0v",
        valued: "u",
        long: &["ignore-environment", "null", "unset=", "debug"],
        assigns: true,
        ..PLAIN
    },
    Wrapper { names: &["nohup", "builtin", "nocorrect", "noglob"], ..PLAIN },
    Wrapper { names: &["exec"], flags: "cl", valued: "a", ..PLAIN },
    Wrapper { names: &["setsid"], flags: "cfw", long: &["ctty", "fork", "wait"], ..PLAIN },
    Wrapper { names: &["nice"], flags: "0123456789", valued: "n", long: &["adjustment="], ..PLAIN },
    Wrapper { names: &["ionice"], flags: "t", valued: "cn", long: &["class=", "classdata=", "ignore"], ..PLAIN },
    Wrapper { names: &["time"], flags: "pvV", long: &["portability", "verbose"], ..PLAIN },
    Wrapper {
        names: &["timeout", "gtimeout"],
        flags: "v",
        valued: "ks",
        long: &["kill-after=", "signal=", "preserve-status", "foreground", "verbose"],
        skip: 1,
        ..PLAIN
    },
    Wrapper { names: &["stdbuf"], valued: "ioe", long: &["input=", "output=", "error="], ..PLAIN },
    Wrapper {
        names: &["sudo"],
        flags: "AbEHknPS",
        valued: "ghpTu",
        long: &[
            "askpass",
            "background",
            "preserve-env",
            "preserve-env=",
            "set-home",
            "reset-timestamp",
            "non-interactive",
            "preserve-groups",
            "stdin",
            "group=",
            "host=",
            "prompt=",
            "command-timeout=",
            "user=",
        ],
        assigns: true,
        bare_runs: true,
        ..PLAIN
    },
    Wrapper { names: &["doas"], flags: "n", valued: "u", bare_runs: true, ..PLAIN },
    Wrapper {
        names: &["chroot"],
        long: &["groups=", "userspec=", "skip-chdir"],
        skip: 1,
        moves: true,
        bare_runs: true,
        ..PLAIN
    },
    Wrapper { names: &["busybox", "toybox"], ..PLAIN },
];

static XARGS: Wrapper = Wrapper {
    flags: "0rtxo",
    valued: "aLnPsEd",
    long: &[
        "null",
        "no-run-if-empty",
        "verbose",
        "exit",
        "arg-file=",
        "delimiter=",
        "max-args=",
        "max-procs=",
        "max-chars=",
    ],
    ..PLAIN
};

static COMMAND: Wrapper = Wrapper { flags: "p", ..PLAIN };

const BY_OPTION: &[(&[&str], &[&str])] = &[
    (&["rsync"], &["-e", "--rsh", "--rsync-path", "--daemon"]),
    (&["scp", "sftp"], &["-S", "-o", "-F", "-J", "-D", "-b"]),
    (
        &["tar", "gtar", "bsdtar"],
        &[
            "--to-command",
            "--checkpoint-action",
            "-I",
            "--use-compress",
            "--rsh-command",
            "-F",
            "--info-script",
            "--new-volume-script",
        ],
    ),
    (&["git"], &["-c", "--exec-path", "--config-env", "--upload-pack", "--receive-pack", "-u"]),
    (&["printf"], &["-v"]),
    (&["test", "["], &["-v"]),
    (&["sort"], &["--compress-program"]),
    (&["zip"], &["-TT", "--unzip-command"]),
    (&["curl", "wget"], &["--use-askpass", "-K", "--config"]),
    (&["ip"], &["exec", "vrf", "netns"]),
    (&["systemctl"], &["edit", "link", "set-environment", "import-environment"]),
    (&["docker", "podman", "nerdctl", "kubectl", "lxc"], &["exec", "run", "debug", "build", "compose"]),
    (&["ssh-keygen"], &["-D", "-P"]),
    (&["crontab", "at", "batch"], &[]),
];

/// Interpreters, editors, multiplexers, builders: what they run is in a file, in an argument of a language of its own, or
/// typed.
const RUNNERS: &[&str] = &[
    "python",
    "perl",
    "ruby",
    "node",
    "nodejs",
    "deno",
    "bun",
    "php",
    "lua",
    "luajit",
    "awk",
    "gawk",
    "mawk",
    "nawk",
    "tclsh",
    "expect",
    "wish",
    "osascript",
    "java",
    "groovy",
    "scala",
    "Rscript",
    "R",
    "julia",
    "ghci",
    "erl",
    "elixir",
    "pwsh",
    "powershell",
    "fish",
    "csh",
    "tcsh",
    "elvish",
    "nu",
    "xonsh",
    "rc",
    "es",
    "m4",
    "bc",
    "dc",
    "gdb",
    "lldb",
    "strace",
    "ltrace",
    "perf",
    "valgrind",
    "make",
    "gmake",
    "ninja",
    "cmake",
    "just",
    "rake",
    "npm",
    "npx",
    "yarn",
    "pnpm",
    "pip",
    "pipx",
    "uv",
    "cargo",
    "go",
    "mvn",
    "gradle",
    "ansible",
    "ansible-playbook",
    "vi",
    "vim",
    "nvim",
    "view",
    "ex",
    "ed",
    "emacs",
    "nano",
    "less",
    "more",
    "most",
    "man",
    "screen",
    "tmux",
    "script",
    "socat",
    "nc",
    "ncat",
    "netcat",
    "telnet",
    "parallel",
    "entr",
    "watchexec",
    "flock",
    "runuser",
    "setpriv",
    "pkexec",
    "unshare",
    "nsenter",
    "systemd-run",
    "machinectl",
    "prlimit",
    "taskset",
    "chrt",
    "numactl",
    "cgexec",
    "firejail",
    "bwrap",
    "proot",
    "fakeroot",
    "dbus-run-session",
    "xvfb-run",
    "ld.so",
    "ld-linux.so.2",
    "ld-linux-x86-64.so.2",
    "run-parts",
    "start-stop-daemon",
    "daemonize",
    "sqlite3",
    "psql",
    "mysql",
    "mariadb",
    "ftp",
    "lftp",
    "w3m",
    "lynx",
    "crontab",
    "at",
    "batch",
    "install-info",
    "capsh",
    "chpst",
    "softlimit",
    "s6-setuidgid",
    "setarch",
    "linux32",
    "linux64",
    "catchsegv",
    "rlwrap",
    "unbuffer",
    "sshpass",
    "ssh-agent",
    "dpkg",
    "apt",
    "apt-get",
    "yum",
    "dnf",
    "rpm",
    "snap",
    "flatpak",
    "nix",
    "nix-shell",
    "guix",
    "mosh",
    "rsh",
    "rlogin",
    "jq-run",
    "gcc",
    "cc",
    "clang",
    "tcc",
    "openvt",
    "logsave",
    "sg",
    "newgrp",
    "login",
    "agetty",
    "split",
    "ctags",
    "cpan",
    "gem",
    "bundle",
    "bundler",
    "irb",
    "pry",
    "sbcl",
    "clisp",
    "guile",
    "racket",
];

/// Parts of the shell that change what later words mean, or run a text.
const BUILTINS: &[&str] = &[
    ".",
    "source",
    "alias",
    "unalias",
    "enable",
    "hash",
    "trap",
    "bind",
    "complete",
    "compgen",
    "compopt",
    "let",
    "mapfile",
    "readarray",
    "fc",
    "shopt",
    "declare",
    "typeset",
    "local",
    "nameref",
    "autoload",
    "zmodload",
    "functions",
    "coproc",
    "function",
    "select",
    "history",
    "getopts",
    "integer",
    "float",
    "zcompile",
    "sched",
    "vared",
    "emulate",
    "setopt",
    "unsetopt",
    "repeat",
    "foreach",
    "always",
    "caller",
];

const SHELLS: &[&str] =
    &["sh", "bash", "dash", "ash", "ksh", "ksh93", "mksh", "oksh", "pdksh", "zsh", "rbash", "rksh", "yash", "posh"];

/// What a program of this name does, with these arguments.
pub(super) fn kind(name: &str, arguments: &[&str]) -> Kind {
    if let Some(wrapper) = WRAPPERS.iter().find(|wrapper| wrapper.names.contains(&name)) {
        return Kind::Command(wrapper);
    }
    let unversioned = name.trim_end_matches(|end: char| end.is_ascii_digit() || end == '.' || end == '-');
    if SHELLS.contains(&name) || SHELLS.contains(&unversioned) {
        return Kind::Shell;
    }
    match name {
        "command" if arguments.first().is_some_and(|first| matches!(*first, "-v" | "-V" | "-pv" | "-pV")) => {
            Kind::Plain
        }
        "command" => Kind::Command(&COMMAND),
        "eval" | "watch" => Kind::Joined,
        "set" if arguments.iter().all(|argument| is_harmless_set(argument)) => Kind::Plain,
        "set" => Kind::Opaque("it sets options of the shell"),
        "su" => Kind::Su,
        "find" | "gfind" => Kind::Find,
        "ssh" => Kind::Ssh,
        "xargs" | "gxargs" => Kind::Xargs,
        "export" | "readonly" | "read" | "unset" => Kind::Variables,
        "cd" | "pushd" | "popd" | "chdir" => Kind::Moves,
        _ if BUILTINS.contains(&name) => Kind::Opaque("it changes what later words mean, or runs a text"),
        _ if RUNNERS.contains(&name) || RUNNERS.contains(&unversioned) => {
            let asks = |argument: &&str| matches!(*argument, "--version" | "-V" | "--help");
            let only_asks = arguments.len() == 1 && arguments.iter().all(asks);
            if only_asks {
                Kind::Plain
            } else {
                Kind::Opaque("it runs what is in a file, in another language, or typed")
            }
        }
        _ => BY_OPTION
            .iter()
            .find(|(names, _)| names.contains(&name))
            .map_or(Kind::Plain, |(_, by)| Kind::OpaqueWith(by)),
    }
}

/// Whether an argument is one of these options, or may be read as one: long names may be cut short, letters stand together,
/// and a value may be attached to both.
pub(super) fn is_one_of(these: &[&str], argument: &str) -> bool {
    let name = argument.split('=').next().unwrap_or(argument);
    let cut_short = name.len() > 2 && name.starts_with("--");
    let letters = argument.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
    these.contains(&argument)
        || letters.is_some_and(|letters| has_letter_of(these, letters))
        || these
            .iter()
            .any(|this| this.len() > 2 && (argument.starts_with(this) || cut_short && this.starts_with(name)))
}

/// Whether one of these letters stands among these.
pub(super) fn has_letter_of(these: &[&str], letters: &str) -> bool {
    let letter =
        |this: &str| this.strip_prefix('-').and_then(|rest| rest.parse::<char>().ok()).filter(|one| *one != '-');
    these.iter().any(|this| letter(this).is_some_and(|one| letters.contains(one)))
}

/// Whether its first argument is letters of options without a hyphen.
pub(super) fn bundles(name: &str) -> bool {
    matches!(name, "tar" | "gtar" | "bsdtar")
}

/// Stopping at errors, and telling what is run.
fn is_harmless_set(argument: &str) -> bool {
    matches!(argument, "pipefail" | "errexit" | "nounset" | "xtrace")
        || argument
            .strip_prefix(['-', '+'])
            .is_some_and(|letters| letters.chars().all(|letter| "euxvo".contains(letter)))
}

/// The options of `xargs`, of which `-I` and `-i` are none: they put what is read anywhere.
pub(super) fn xargs() -> &'static Wrapper {
    &XARGS
}

impl Wrapper {
    /// How many of the arguments belong to the program itself, before the command and what `skip` and `assigns` say.
    /// `None` where an option is not known. `constant` says whether it is certain what an argument is.
    pub(super) fn options(&self, arguments: &[(&str, bool)]) -> Option<usize> {
        let mut at = 0_usize;
        while let Some((argument, constant)) = arguments.get(at) {
            if !*constant {
                return None;
            }
            if *argument == "--" {
                return Some(at.saturating_add(1));
            }
            let takes_next = match argument.strip_prefix('-') {
                None => return Some(at),
                Some("") if self.assigns => false,
                Some("") => return Some(at),
                Some(long) if long.starts_with('-') => self.long_option(long.trim_start_matches('-'))?,
                Some(cluster) => self.cluster(cluster)?,
            };
            at = at.saturating_add(1).saturating_add(usize::from(takes_next));
            if takes_next && !arguments.get(at.saturating_sub(1)).is_some_and(|(_, constant)| *constant) {
                return None;
            }
        }
        Some(at)
    }

    /// Whether its value is the next word.
    fn long_option(&self, option: &str) -> Option<bool> {
        let (name, has_value) = option.split_once('=').map_or((option, false), |(name, _)| (name, true));
        let takes_value = |known: &&str| known.strip_suffix('=') == Some(name);
        if self.long.iter().any(takes_value) && (has_value || !self.long.contains(&name)) {
            return Some(!has_value);
        }
        (!has_value && self.long.contains(&name)).then_some(false)
    }

    fn cluster(&self, cluster: &str) -> Option<bool> {
        let mut letters = cluster.chars();
        while let Some(letter) = letters.next() {
            if self.valued.contains(letter) {
                return Some(letters.as_str().is_empty());
            }
            if !self.flags.contains(letter) {
                return None;
            }
        }
        Some(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(name: &str, line: &str) -> Option<usize> {
        let words: Vec<(&str, bool)> = line.split(' ').map(|word| (word, !word.starts_with('$'))).collect();
        let Kind::Command(wrapper) = kind(name, &[]) else { panic!("{name} is none") };
        wrapper.options(&words)
    }

    #[test]
    fn the_command_begins_behind_the_options() {
        for (name, line, expected) in [
            ("env", "-i PATH=x ls", Some(1)),
            ("env", "- ls", Some(1)),
            ("env", "-u HOME ls", Some(2)),
            ("env", "-S 'rm x'", None),
            ("env", "$x ls", None),
            ("nice", "-n 5 ls", Some(2)),
            ("nice", "-10 ls", Some(1)),
            ("timeout", "--signal KILL 5 ls", Some(2)),
            ("timeout", "-k5 5 ls", Some(1)),
            ("sudo", "-nu root ls", Some(2)),
            ("sudo", "--user=root -- ls", Some(2)),
            ("sudo", "--preserve-env ls", Some(1)),
            ("sudo", "-i ls", None),
            ("sudo", "-u $x ls", None),
            ("stdbuf", "-oL ls", Some(1)),
        ] {
            assert_eq!(options(name, line), expected, "{name} {line}");
        }
    }
}
