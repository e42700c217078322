//! Which releases may connect. Mirrors `version/{application,compatibility,constants}.go`.

/// A release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub patch: u32,
}

/// The release of the network's protocol that this node speaks.
pub const CURRENT: Version = Version { major: 1, minor: 14, patch: 2 };
/// The oldest release accepted once the upgrade is active.
pub const MIN_COMPATIBLE: Version = Version { major: 1, minor: 14, patch: 0 };
/// The oldest release accepted before.
pub const PREVIOUS_MIN_COMPATIBLE: Version = Version { major: 1, minor: 13, patch: 0 };

/// True when a peer of this release may connect at `now`; the upgrade is Granite. Both times are Unix seconds.
#[must_use]
pub fn is_compatible(peer: Version, now: u64, upgrade_time: u64) -> bool {
    let oldest = if now < upgrade_time { PREVIOUS_MIN_COMPATIBLE } else { MIN_COMPATIBLE };
    peer.major <= CURRENT.major && peer >= oldest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_release_depends_on_the_upgrade_and_newer_minors_are_welcome() {
        let version = |major, minor, patch| Version { major, minor, patch };
        assert!(is_compatible(version(1, 13, 0), 9, 10));
        assert!(!is_compatible(version(1, 13, 5), 10, 10));
        assert!(is_compatible(version(1, 14, 0), 10, 10));
        assert!(is_compatible(version(1, 99, 0), 10, 10));
        assert!(!is_compatible(version(2, 0, 0), 10, 10));
    }
}
