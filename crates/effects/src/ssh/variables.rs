//! Variables of the environment: which of them a caller may set, and which change what a line means.

use model::effect::SettingClass;

/// What a request for a variable may set without changing what runs: language, terminal, git's protocol version.
const BENIGN: [&str; 8] = ["TERM", "LANG", "LANGUAGE", "COLORTERM", "TZ", "NO_COLOR", "COLUMNS", "LINES"];

/// Variables that decide which program runs, what it loads, or what it runs besides.
const MEANING: [&str; 52] = [
    "PATH",
    "BASH_ENV",
    "ENV",
    "IFS",
    "SHELLOPTS",
    "BASHOPTS",
    "PS0",
    "PS1",
    "PS2",
    "PS3",
    "PS4",
    "PROMPT_COMMAND",
    "HOME",
    "CDPATH",
    "FPATH",
    "ZDOTDIR",
    "PWD",
    "OLDPWD",
    "SHELL",
    "EDITOR",
    "VISUAL",
    "FCEDIT",
    "PAGER",
    "MANPAGER",
    "BROWSER",
    "LESSOPEN",
    "LESSCLOSE",
    "GCONV_PATH",
    "LOCPATH",
    "NLSPATH",
    "CLASSPATH",
    "JAVA_TOOL_OPTIONS",
    "_JAVA_OPTIONS",
    "TERMINFO",
    "TERMINFO_DIRS",
    "TERMCAP",
    "TAR_OPTIONS",
    "AWKPATH",
    "EXINIT",
    "VIMINIT",
    "CURL_HOME",
    "HOSTALIASES",
    "MAKEFLAGS",
    "CC",
    "CXX",
    "LD",
    "KRB5_CONFIG",
    "XDG_CONFIG_HOME",
    "TMPPREFIX",
    "GLIBC_TUNABLES",
    "POSIXLY_CORRECT",
    "OPENSSL_CONF",
];

/// What such variables begin with.
const FAMILIES: [&str; 17] = [
    "LD_",
    "DYLD_",
    "BASH_FUNC_",
    "PYTHON",
    "PERL",
    "RUBY",
    "NODE_",
    "GIT_",
    "SSH_",
    "RSYNC_",
    "LUA_",
    "PHP",
    "SUDO_",
    "MALLOC_",
    "NPM_CONFIG_",
    "OPENSSL_",
    "SLUICE_",
];

/// Whether giving this variable a value may change what other words of a line mean.
pub(super) fn changes_meaning(name: &str) -> bool {
    MEANING.contains(&name) || FAMILIES.iter().any(|family| name.starts_with(family))
}

/// The class of a variable that a caller asks for (SH-04). What is not known is not benign.
pub(super) fn class(name: &str) -> SettingClass {
    let is_benign =
        BENIGN.contains(&name) || name == "GIT_PROTOCOL" || name.strip_prefix("LC_").is_some_and(is_category);
    if is_benign { SettingClass::Benign } else { SettingClass::Server }
}

fn is_category(rest: &str) -> bool {
    !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sh_04_only_known_variables_are_benign() {
        for name in ["TERM", "LANG", "LC_ALL", "LC_CTYPE", "COLORTERM", "GIT_PROTOCOL"] {
            assert_eq!(class(name), SettingClass::Benign, "{name}");
        }
        for name in [
            "LD_PRELOAD",
            "BASH_ENV",
            "ENV",
            "GIT_SSH",
            "GIT_SSH_COMMAND",
            "PATH",
            "IFS",
            "PYTHONPATH",
            "PERL5OPT",
            "NODE_OPTIONS",
            "FOO",
            "",
            "term",
            "LC_",
            "LC_all;x",
            "TERM\n",
            "HOME",
        ] {
            assert_eq!(class(name), SettingClass::Server, "{name}");
        }
        assert!(["LD_PRELOAD", "PATH", "PYTHONSTARTUP", "BASH_FUNC_ls%%"].iter().all(|name| changes_meaning(name)));
        assert!(!changes_meaning("DEBUG") && !changes_meaning("RUST_LOG"));
    }
}
