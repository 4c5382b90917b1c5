//! The story's services and people.

use serde_json::json;

use crate::issuer::Grant;

/// Somebody with a token.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Person {
    /// The subject of the tokens, and the name of psql's service.
    pub name: &'static str,
    /// The groups.
    pub groups: &'static [&'static str],
    /// A human being, or a workload.
    pub is_human: bool,
}

/// The story's hero: it may see no card number, address or SSN.
pub const ORDER_SERVICE: Person = Person { name: "order-service", groups: &["payments-apps"], is_human: false };

/// A service that may see card numbers.
pub const FRAUD_SERVICE: Person =
    Person { name: "fraud-service", groups: &["payments-apps", "pci-cleared"], is_human: false };

/// It copies files off a host.
pub const BACKUP_ROBOT: Person = Person { name: "backup-robot", groups: &["backup-robots"], is_human: false };

/// She works in the cluster.
pub const ENGINEER: Person = Person { name: "kim", groups: &["engineers"], is_human: true };

/// She approves.
pub const DBA: Person = Person { name: "dana", groups: &["dba"], is_human: true };

/// He approves what she asks for.
pub const OTHER_DBA: Person = Person { name: "omar", groups: &["dba"], is_human: true };

/// She reads the record.
pub const AUDITOR: Person = Person { name: "vera", groups: &["auditors"], is_human: true };

/// All of them.
pub const EVERYBODY: [Person; 7] = [ORDER_SERVICE, FRAUD_SERVICE, BACKUP_ROBOT, ENGINEER, DBA, OTHER_DBA, AUDITOR];

impl Person {
    /// A token for five minutes.
    pub fn grant(&self) -> Grant {
        let grant = Grant::new(self.name).groups(self.groups.iter().copied());
        if self.is_human { grant.claim("account_type", json!("person")) } else { grant }
    }
}
