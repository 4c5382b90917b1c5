//! The command line: what can be said, and what becomes of it.
//!
//! Commands that ask a running Sluice are clients of its admin API (`client`); `init`, `check`, `token`, `secret`,
//! `policy` and `audit verify` work on files. Whatever comes from callers is escaped before it reaches a terminal
//! (`show`).

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

mod account;
mod approvals;
mod audit;
mod change;
mod check;
mod client;
mod connect;
mod failure;
mod files;
mod growth;
mod init;
mod issuers;
mod journal;
mod listing;
mod local;
mod log;
mod login;
mod memory;
mod notify;
mod paths;
mod policy;
mod prove;
mod records;
mod reindex;
mod repair;
mod request;
mod rotate_key;
mod secret;
mod serve;
mod sessions;
mod show;
mod ssh;
mod subjects;
mod target;
mod tiles;
mod time;
mod token;
mod verify;
mod whoami;
mod witness;

use failure::Failure;

const EXAMPLES: &str = "\
Examples:
  sluice init /etc/sluice                                  a configuration to begin with
  sluice check --config /etc/sluice/sluice.toml            every mistake in it at once
  sluice serve --config /etc/sluice/sluice.toml            the gateway
  sluice approvals list                                    what waits for an answer
  sluice audit search --subject order-service --since 24h  who did what

Exit codes: 0 done, 1 failed or refused, 2 wrong usage, 3 Sluice cannot be reached.";

/// An identity-aware gateway: every statement is identified, authorised, recorded and masked.
#[derive(Parser)]
#[command(name = "sluice", version, about, after_help = EXAMPLES, propagate_version = true, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write a commented configuration, targets, classification and first policies
    Init(init::Args),
    /// Run the gateway
    Serve(serve::Args),
    /// Check the configuration and the revision; report every mistake at once
    Check(check::Args),
    /// Make a short-lived token with Sluice's own key (for whoever can read the key's file)
    Token(token::Args),
    /// Keep the passwords and private keys of targets in the local vault
    #[command(subcommand)]
    Secret(secret::Command),
    /// See and answer what waits for a human
    #[command(subcommand)]
    Approvals(approvals::Command),
    /// See the channels by which approvers are told, and try them out
    #[command(subcommand)]
    Notify(notify::Command),
    /// Ask ahead for a time-boxed window
    Request(request::Args),
    /// See, replay and end sessions
    #[command(subcommand)]
    Sessions(sessions::Command),
    /// Believe subjects or single tokens no more, and lift that again
    #[command(subcommand)]
    Subjects(subjects::Command),
    /// Believe an issuer no more, and lift that again
    #[command(subcommand)]
    Issuers(issuers::Command),
    /// Search the record, and verify it
    #[command(subcommand)]
    Audit(audit::Command),
    /// Open local ports or sockets to targets, run one command with one, or keep a configuration of ssh fresh
    // In a box: its arguments are many.
    Connect(Box<local::Args>),
    /// Sign in at your issuer: in a browser here, or with a code on any device
    Login(login::LoginArgs),
    /// Sign out, here and at the issuer
    Logout(login::LogoutArgs),
    /// Certificates of SSH, and the keys that callers and hosts have to know
    #[command(subcommand)]
    Ssh(Box<ssh::Command>),
    /// Say who you are to Sluice, and what you may do
    Whoami(whoami::Args),
    /// Work on policies
    #[command(subcommand)]
    Policy(policy::Command),
    /// See what Sluice knows of its targets
    #[command(subcommand)]
    Target(target::Command),
    /// Print completions for a shell
    #[command(after_help = "Example:\n  sluice completions bash > /etc/bash_completion.d/sluice")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the command line and says how it went.
pub(crate) fn main() -> ExitCode {
    let result = run(Cli::parse().command);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Nowhere is left to report that standard error is closed.
            let _ = writeln!(std::io::stderr(), "{failure}");
            failure.code()
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Token(args) => token::run(&args),
        Command::Secret(command) => secret::run(command),
        Command::Approvals(command) => approvals::run(command),
        Command::Notify(command) => notify::run(command),
        Command::Request(args) => request::run(&args),
        Command::Sessions(command) => sessions::run(command),
        Command::Subjects(command) => subjects::run(&command),
        Command::Issuers(command) => issuers::run(&command),
        Command::Audit(command) => audit::run(command),
        Command::Connect(args) => local::run(&args),
        Command::Login(args) => login::login(&args),
        Command::Logout(args) => login::logout(&args),
        Command::Ssh(command) => ssh::run(&command),
        Command::Whoami(args) => whoami::run(&args),
        Command::Policy(command) => policy::run(&command),
        Command::Target(command) => target::run(&command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "sluice", &mut script);
            put(&String::from_utf8_lossy(&script))
        }
    }
}

/// Writes to standard output. A reader that has gone (`| head`) ends the command, and is no failure.
fn put(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::failed(error)),
        Err(_) => std::process::exit(0),
        Ok(()) => Ok(()),
    }
}

/// Writes a line to standard output.
fn put_line(text: &str) -> Result<(), Failure> {
    put(&format!("{text}\n"))
}

/// Writes a line to standard error: what is for people, where standard output is for programs.
fn tell(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Whether somebody sits in front of it.
fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
