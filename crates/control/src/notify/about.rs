//! Which approvals a channel tells of.

use std::sync::Arc;

use gateway::node::Node;
use model::approval::Asked;
use model::event::Event;
use store::config::NotifyAbout;

use super::failure::Failure;
use super::feed::Told;

/// Which approvals a channel tells of.
#[derive(Clone, Debug)]
pub(super) struct Interest(pub(super) NotifyAbout);

impl Interest {
    /// Whether it is one of them.
    pub(super) fn is_in(&self, asked: &Asked) -> bool {
        let of_target = self.0.targets.as_ref().is_none_or(|targets| targets.contains(&asked.target));
        let mut groups = asked.needs.iter().flat_map(|need| &need.groups);
        of_target && self.0.groups.as_ref().is_none_or(|wanted| groups.any(|group| wanted.contains(group)))
    }

    /// Whether the event is about one of them. Of one that state does not know any more nobody can tell.
    pub(super) async fn has(&self, node: &Arc<Node>, told: &Told) -> Result<bool, Failure> {
        if let Event::ApprovalAsked { asked, .. } = &told.event {
            return Ok(self.is_in(asked));
        }
        if self.0 == NotifyAbout::default() {
            return Ok(true);
        }
        let found = super::approval(node, told.approval).await?;
        Ok(found.is_some_and(|approval| self.is_in(&approval.asked)))
    }
}
