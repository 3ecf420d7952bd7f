//! Legal holds: somebody's named order to keep.

use serde::{Deserialize, Serialize};

use crate::ids::{HoldName, PointId, SystemName};
use crate::time::Time;

/// An order to keep points, whatever the policy says of their age.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Its name: a case, a request. Of holds in force no two have the same.
    pub name: HoldName,
    /// The points that it keeps.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub points: Vec<PointId>,
    /// The systems of which it keeps every point, those to come among them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub systems: Vec<SystemName>,
    /// Who ordered it, as stated.
    pub by: String,
    /// Why.
    pub reason: String,
    /// From when on it was ordered.
    pub since: Time,
    /// When it ends by itself; nothing for one that only a release ends.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<Time>,
}

impl Hold {
    /// Whether it keeps a point of a system.
    pub fn keeps(&self, point: &PointId, system: &SystemName) -> bool {
        self.points.contains(point) || self.systems.contains(system)
    }
}

/// A hold was lifted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldRelease {
    /// Which.
    pub name: HoldName,
    /// Who lifted it, as stated.
    pub by: String,
    /// Why.
    pub reason: String,
}
