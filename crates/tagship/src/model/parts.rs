//! The parts of the world, as a set.

/// Parts of the world, each read by calls of its own: a set of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parts(u32);

impl Parts {
    /// None.
    pub const NONE: Self = Self(0);
    /// The settings variable, with its selectors resolved.
    pub const OFFER: Self = Self(1);
    /// The text of `USER_DATA`, of which the hold has the hash only.
    pub const USER_DATA: Self = Self(1 << 1);
    /// The execution that is asked about: [`crate::execution_of`].
    pub const HOLDER: Self = Self(1 << 2);
    /// Instances.
    pub const INSTANCES: Self = Self(1 << 3);
    /// Groups, switches, targets' health.
    pub const ROUTING: Self = Self(1 << 4);
    /// Addresses.
    pub const ADDRESSES: Self = Self(1 << 5);
    /// Names.
    pub const NAMES: Self = Self(1 << 6);
    /// The deployment group.
    pub const FILTER: Self = Self(1 << 7);
    /// The release's deployment.
    pub const DEPLOYMENT: Self = Self(1 << 8);
    /// The artifact: whether it exists, which version.
    pub const ARTIFACT: Self = Self(1 << 9);
    /// The image's devices.
    pub const IMAGE: Self = Self(1 << 10);
    /// The alarms that the settings name.
    pub const ALARMS: Self = Self(1 << 11);
    /// What the balancer counted of the pair while the traffic was divided.
    pub const FIGURES: Self = Self(1 << 12);
    /// The roster of the live fleet.
    pub const ROSTER: Self = Self(1 << 13);
    /// The call of a hook that this process has made.
    pub const HOOK: Self = Self(1 << 14);
    /// The load balancer, as far as a launch has to fit it. The pair is read before it.
    pub const BALANCER: Self = Self(1 << 15);
    /// All of them.
    pub const ALL: Self = Self((1 << 16) - 1);

    /// These and those.
    #[must_use]
    pub const fn and(self, those: Self) -> Self {
        Self(self.0 | those.0)
    }

    /// These, if it is so.
    #[must_use]
    pub const fn when(self, so: bool) -> Self {
        if so { self } else { Self::NONE }
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, those: Self) -> Self {
        Self(self.0 & !those.0)
    }

    /// Whether all of those are among these.
    pub const fn has(self, those: Self) -> bool {
        self.0 & those.0 == those.0
    }

    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}
