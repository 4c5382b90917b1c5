//! A Sluice on a disk that can be made to fail, and what is the same of every fault.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use model::event::Event;
use testkit::demo::site::{ORDER_SERVICE, Site, Tuning};
use testkit::process::sluice;
use testkit::wait::eventually_blocking;

use crate::support::faulty_disk::FaultyDisk;
use crate::support::oracle::Watched;
use crate::support::raw::Raw;
use crate::support::{CLEARED, LIMIT, postgres, prepare, record, token};

/// How long requests wait for the disk.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);

/// The directory of the journal alone, and that of everything that Sluice keeps.
pub(crate) const JOURNAL: &str = "/data/journal";
pub(crate) const ALL: &str = "/data";

/// Why the metrics may say that the journal cannot be written.
const REASONS: [&str; 4] = ["full", "read_only", "stalled", "other"];

pub(crate) struct Stage {
    // Well again before the process ends.
    pub(crate) disk: FaultyDisk,
    pub(crate) site: Watched<Site>,
}

impl Stage {
    /// The faults are those of this directory. `settings` are the journal's.
    pub(crate) fn start(name: &str, under: &str, settings: &str) -> Result<Self> {
        let disk = FaultyDisk::under(&[under])?;
        let sluice_toml = format!("[journal]\n{settings}\n");
        let mut environment = disk.environment()?;
        // Memory is what is kept, and not over how many arenas the allocator spreads what is not.
        environment.push(("MALLOC_ARENA_MAX".into(), "1".into()));
        let tuning = Tuning { sluice_toml, environment, ..Tuning::default() };
        let mut site = Watched::new(prepare(name, tuning)?)?;
        site.start()?;
        Ok(Self { disk, site })
    }

    /// With requests that wait for a second.
    pub(crate) fn with_deadline(name: &str, under: &str) -> Result<Self> {
        Self::start(name, under, "wait_deadline = \"1s\"")
    }

    /// A session, while the disk is well. A busy machine may miss a short deadline all the same.
    async fn let_in(&self, token: &str) -> Result<Raw> {
        let begun = Instant::now();
        loop {
            match Raw::login(&self.site, token).await {
                Err(error) if format!("{error:#}").contains("58030") && begun.elapsed() < LIMIT => {}
                result => return result,
            }
        }
    }

    pub(crate) async fn client(&self) -> Result<Raw> {
        self.let_in(&self.site.token(&ORDER_SERVICE)?).await
    }

    /// Somebody whose requests are on the disk before they are forwarded.
    pub(crate) async fn writer(&self) -> Result<Raw> {
        self.let_in(&self.site.token(&CLEARED)?).await
    }

    /// Somebody whose session is the only one of that name.
    pub(crate) async fn leaver(&self) -> Result<Raw> {
        self.let_in(&token(&self.site, "leaver", ORDER_SERVICE.groups)?).await
    }

    /// A session asks in vain: it is told so in time, and the target knows nothing of it.
    pub(crate) async fn asks_in_vain(&self, client: &mut Raw, name: &str) -> Result<()> {
        let begun = Instant::now();
        let answer = client.simple(&asking(name)).await?;
        assert_eq!(answer.errors(), ["58030"], "{answer:?}");
        in_time(begun);
        assert!(!executed(name)?, "{name} was forwarded");
        Ok(())
    }

    /// Operators see that nothing can be recorded, and why.
    pub(crate) fn is_red(&self, reason: &str) -> Result<()> {
        let red = || Ok((self.site.process()?.get("/readyz")? == (503, "journal\n".into())).then_some(()));
        eventually_blocking(LIMIT, "/readyz to be red", red)?;
        assert_eq!(self.reasons()?, [reason]);
        Ok(())
    }

    /// Whoever comes now is turned away, and told why.
    pub(crate) async fn turns_strangers_away(&self) -> Result<()> {
        let begun = Instant::now();
        let stranger = Raw::login(&self.site, &self.site.token(&ORDER_SERVICE)?).await;
        let told = format!("{:#}", stranger.err().context("a stranger was let in")?);
        assert!(told.contains("58030"), "{told}");
        in_time(begun);
        Ok(())
    }

    /// The disk is back: who was there and who comes is served, and nobody had to do anything.
    pub(crate) async fn goes_on(&self, client: Option<&mut Raw>) -> Result<()> {
        let green = || Ok((self.site.process()?.get("/readyz")?.0 == 200).then_some(()));
        eventually_blocking(LIMIT, "Sluice to go on", green)?;
        if let Some(client) = client {
            is_served(client, "asked_again").await?;
        }
        is_served(&mut self.client().await?, "asked_anew").await?;
        assert!(executed("asked_anew")?);
        eventually_blocking(LIMIT, "no reason", || Ok(self.reasons()?.is_empty().then_some(())))
    }

    /// Whether the journal has the end of the session that the leaver began last.
    pub(crate) fn has_closed_the_leaver(&self) -> Result<bool> {
        let events = record::events(&self.site)?;
        let opened = events.iter().rev().find_map(|event| match event {
            Event::SessionOpened { session, subject, .. } if &*subject.key.id == "leaver" => Some(*session),
            _ => None,
        });
        let ended = opened.context("the leaver was never there")?;
        let is_its_end = |event: &Event| matches!(event, Event::SessionClosed { session, .. } if *session == ended);
        Ok(events.iter().any(is_its_end))
    }

    /// Waits until it has.
    pub(crate) fn closes_the_leaver(&self) -> Result<()> {
        let closed = || Ok(self.has_closed_the_leaver()?.then_some(()));
        eventually_blocking(LIMIT, "the end of a session to be recorded", closed)
    }

    /// Ends Sluice in order; what it left is whole.
    pub(crate) fn verifies(mut self) -> Result<()> {
        assert_eq!(self.site.stop()?, 0);
        let config = self.site.config().display().to_string();
        let verified = sluice(self.site.binary(), &["audit", "verify"], &[("SLUICE_CONFIG", config.as_str())])?;
        ensure!(verified.status.success(), "{}{}", verified.stdout, verified.stderr);
        Ok(())
    }

    /// Why requests cannot be recorded, as the metrics say it.
    pub(crate) fn reasons(&self) -> Result<Vec<&'static str>> {
        let (_, text) = self.site.process()?.get("/metrics")?;
        let says = |line: String| text.lines().any(|found| found == line);
        let is_so = |reason: &&&str| says(format!("sluice_journal_fault{{reason=\"{reason}\"}} 1"));
        let reasons: Vec<_> = REASONS.iter().filter(is_so).copied().collect();
        let writable = u8::from(reasons.is_empty());
        ensure!(says(format!("sluice_journal_writable {writable}")), "{reasons:?} and {writable}: {text}");
        Ok(reasons)
    }
}

/// As with a login, a busy machine may miss a deadline.
async fn is_served(client: &mut Raw, name: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        let answer = client.simple(&asking(name)).await?;
        if answer.errors() != ["58030"] || begun.elapsed() > LIMIT {
            assert_eq!(answer.column(), ["4711"], "{answer:?}");
            return Ok(());
        }
    }
}

pub(crate) fn asking(name: &str) -> String {
    format!("SELECT 4711 AS {name}")
}

/// Whether the target executed it.
pub(crate) fn executed(name: &str) -> Result<bool> {
    Ok(postgres()?.statement_log()?.iter().any(|statement| statement.text.contains(name)))
}

/// An answer that waits for the journal is there at the deadline, give or take what a busy machine takes.
#[track_caller]
pub(crate) fn in_time(begun: Instant) {
    let took = begun.elapsed();
    assert!(took < DEADLINE + Duration::from_secs(2), "{took:?}");
}
