//! The one who looks for all browsers: what is open is looked at in turn, and nothing while nobody looks on.

use super::schedule::{ALL, CALM, HELD, Schedule};
use super::shown::{One, Shown, Wishes};
use super::view::Opened;
use crate::args::Access;
use crate::commands::{open, status};
use crate::end::Failure;
use crate::out::SCHEMA;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tagship_aws::Account;
use tokio::sync::watch;

/// So often the installation is looked for again: which services there are, and their settings.
const RENEWED: Duration = Duration::from_secs(300);

struct Watcher {
    access: Access,
    account: Account,
    act: bool,
    shown: watch::Sender<Shown>,
    schedule: Schedule,
    opened: BTreeMap<String, Opened>,
    renewed: Instant,
}

/// Looks until it is dropped.
pub(crate) async fn watch(
    access: Access,
    account: Account,
    act: bool,
    shown: watch::Sender<Shown>,
    wishes: Arc<Wishes>,
) {
    let now = Instant::now();
    let (opened, schedule) = (BTreeMap::new(), Schedule::new(now));
    let mut watcher = Watcher { access, account, act, shown, schedule, opened, renewed: now };
    loop {
        let Some((at, name)) = watcher.schedule.next(&wishes.open(), Instant::now()) else {
            wishes.changed().await;
            continue;
        };
        tokio::select! {
            () = tokio::time::sleep_until(at.into()) => {}
            // Perhaps something is more urgent now.
            () = wishes.changed() => continue,
        }
        // Whoever wished it may have gone meanwhile.
        if wishes.open().contains(&name) {
            watcher.look(&name).await;
        }
    }
}

impl Watcher {
    async fn look(&mut self, name: &str) {
        let began = Instant::now();
        if began.duration_since(self.renewed) > RENEWED {
            self.renew().await;
        }
        let (usual, trouble) = match name {
            "" => (ALL, self.all().await.err()),
            name => match self.one(name).await {
                Ok(held) => (if held { HELD } else { CALM }, None),
                Err(failure) => (ALL, Some(failure)),
            },
        };
        let slower = self.schedule.looked(name, (began, usual), self.account.calls());
        let trouble = match (trouble, slower) {
            (Some(failure), _) => failure.to_string(),
            (None, 1) => String::new(),
            (None, slower) => format!(
                "AWS says that it is asked too often: this page looks {slower} times less often for now. tagship's \
                 functions come first."
            ),
        };
        self.shown.send_if_modified(|shown| {
            let news = *shown.trouble != trouble;
            shown.trouble = trouble.into();
            news
        });
    }

    async fn all(&mut self) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Document<'a> {
            schema: u32,
            region: &'a str,
            #[serde(flatten)]
            overview: status::Overview,
        }
        let overview = status::overview(&self.account).await?;
        let document = Document { schema: SCHEMA, region: self.account.region(), overview };
        let json = serde_json::to_string(&document).unwrap_or_default();
        self.shown.send_modify(|shown| shown.overview = Some(json.into()));
        Ok(())
    }

    /// Whether it is held.
    async fn one(&mut self, name: &str) -> Result<bool, Failure> {
        if !self.opened.contains_key(name) {
            self.opened.insert(name.to_owned(), Opened::new(&self.account, name).await?);
        }
        let Some(opened) = self.opened.get_mut(name) else { return Ok(false) };
        opened.look(&self.account).await;
        let one: One = opened.shown(&self.account, self.act);
        self.shown.send_modify(|shown| {
            shown.services.insert(name.to_owned(), one);
        });
        Ok(opened.held())
    }

    /// Finds the installation anew. What can't be found now stays as it was known.
    async fn renew(&mut self) {
        self.renewed = Instant::now();
        if let Ok(account) = open(self.access.clone()).await {
            self.account = account;
        }
        for opened in self.opened.values_mut() {
            // A service that is gone is said at its next look.
            let _ = opened.renew(&self.account).await;
        }
    }
}
