//! What EC2 says that an instance does, and how it ends.

/// What EC2 says that an instance does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// It is being launched or started.
    Pending,
    /// It runs.
    Running,
    /// It is being terminated: its processors may still run.
    ShuttingDown,
    /// It is gone.
    Terminated,
    /// It is being stopped: its processors may still run.
    Stopping,
    /// It is off.
    Stopped,
}

impl State {
    /// AWS's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
        }
    }

    /// AWS's number for it.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Pending => "0",
            Self::Running => "16",
            Self::ShuttingDown => "32",
            Self::Terminated => "48",
            Self::Stopping => "64",
            Self::Stopped => "80",
        }
    }
}

/// How the machine of an instance that is being terminated is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By its power button, and by the plug if it does not react.
    Graceful,
    /// By the plug.
    SkipOsShutdown,
}
