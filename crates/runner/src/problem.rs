//! What could not be done, as people are told: who, what, why, what next, and a code with a page in `docs/errors/`.

use std::fmt;

/// What a problem means for the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The user's input or configuration is wrong.
    Input,
    /// Waiting, unsafe or blocked: nothing was touched, or nothing more will be.
    NotNow,
    /// A run halted or failed.
    RunFailed,
    /// A bug in Quorate.
    Bug,
}

/// A code, its kind and its title: one row a page in `docs/errors/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// `Q0001`.
    pub id: &'static str,
    /// What it means for the exit status.
    pub kind: Kind,
    /// Title of its page.
    pub title: &'static str,
}

macro_rules! codes {
    ($($name:ident $id:literal $kind:ident $title:literal),+ $(,)?) => {
        $(#[doc = $title] pub const $name: Code = Code { id: $id, kind: Kind::$kind, title: $title };)+
        /// Every code.
        pub const CODES: &[Code] = &[$($name),+];
    };
}

codes! {
    NO_FLEET "Q0001" Input "No fleet file was found",
    BAD_FLEET "Q0002" Input "The fleet file is wrong",
    NO_CLUSTER "Q0003" Input "No such cluster",
    NO_PACK "Q0004" Input "No such pack",
    BAD_RELEASE "Q0005" Input "Not a release",
    BAD_STATE "Q0006" Input "The state folder cannot be used",
    BAD_PLAN "Q0007" Input "The plan file cannot be used",
    STALE_PLAN "Q0008" NotNow "The plan is older than the cluster",
    NOT_NOW "Q0009" NotNow "Waiting, unsafe or blocked",
    HELD "Q0010" NotNow "Another controller holds the cluster",
    NO_ARTIFACT "Q0011" Input "A release cannot be had",
    HALTED "Q0012" RunFailed "A run halted",
    NO_RUN "Q0013" Input "No such run",
    LAB "Q0014" Input "The lab cannot do that",
    NO_ADOPTION "Q0015" Input "The cluster cannot be adopted",
    NOT_PROVED "Q0016" NotNow "The plan does not prove",
    NO_BACKUP "Q0017" RunFailed "A backup could not be taken, proved or put back",
    FROZEN "Q0018" NotNow "The calendar does not let a run begin now",
    NOISY "Q0019" NotNow "The client's baseline is too noisy",
    BAD_PACK "Q0020" Input "A pack is wrong",
    NOT_STAGED "Q0021" RunFailed "An artifact could not be staged",
    UNSEEN "Q0022" NotNow "The cluster cannot be seen",
    FILE "Q0023" Input "A file cannot be read or written",
    ABORTED "Q0024" RunFailed "A run was aborted",
    PAUSED "Q0025" NotNow "A run is paused",
    NO_NODE "Q0026" Input "No such node, or it is not out",
    BAD_SETTING "Q0029" Input "Not a setting",
    NO_HOST "Q0031" Input "No such host",
    NO_ANSWER "Q0032" NotNow "A source of the inventory gives no answer",
    FEWER_HOSTS "Q0033" NotNow "A source of the inventory lists far fewer hosts",
    BUG "Q0070" Bug "A bug in Quorate",
}

/// What could not be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The code.
    pub code: Code,
    /// Who, what, why.
    pub text: String,
    /// What lies behind it, outermost first.
    pub causes: Vec<String>,
    /// What next.
    pub hints: Vec<String>,
    /// Already formatted pointers into a file, with line and column.
    pub pointers: Option<String>,
}

impl Problem {
    /// A problem of this code.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), causes: Vec::new(), hints: Vec::new(), pointers: None }
    }
    /// Adds what next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }
    /// Adds what lies behind it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }
    /// Adds pointers into a file.
    #[must_use]
    pub fn pointing(mut self, pointers: impl Into<String>) -> Self {
        self.pointers = Some(pointers.into());
        self
    }
    /// The exit status.
    pub fn exit_code(&self) -> u8 {
        match self.code.kind {
            Kind::Input => 1,
            Kind::NotNow => 3,
            Kind::RunFailed => 4,
            Kind::Bug => 70,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, text, causes, hints: _, pointers: _ } = self;
        write!(f, "{text}")?;
        for cause in causes {
            write!(f, ": {cause}")?;
        }
        write!(f, " [{}]", code.id)
    }
}

impl std::error::Error for Problem {}

impl From<quorate_store::StoreError> for Problem {
    fn from(error: quorate_store::StoreError) -> Self {
        use quorate_store::StoreError as E;
        let code = match &error {
            E::Held(_) | E::Conflict { .. } | E::Fenced { .. } | E::NotHeld { .. } => HELD,
            E::Missing { what: "run", .. } => NO_RUN,
            E::Missing { .. } | E::Exists { .. } | E::Ambiguous { .. } | E::PlanDiffers { .. } => {
                BAD_PLAN
            }
            E::Newer { .. } | E::Unusable { .. } => BAD_STATE,
            E::NeedsLease { .. } => BUG,
        };
        let hint = error.hint();
        let mut problem = Self::new(code, error.to_string());
        problem.hints.extend(hint);
        if matches!(error, E::Held(_)) {
            problem
                .hints
                .push("if its controller is dead, take over with `--break-lease REASON`".into());
        }
        problem
    }
}

impl From<crate::drive::DriveError> for Problem {
    fn from(error: crate::drive::DriveError) -> Self {
        let crate::drive::DriveError::Store(cause) = error;
        Self::from(cause)
    }
}
