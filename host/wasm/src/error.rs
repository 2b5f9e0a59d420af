//! Why a component cannot be used. Failures of running operators are [`statehouse_operator::Failure`]s instead.

use std::time::Duration;

/// Why a component cannot be loaded, described or opened. Messages do not name the file: whoever read it does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The engine itself could not be made.
    #[error(
        "the WebAssembly engine cannot start with room for {instances} instances: {reason}; lower the number of \
         instances, or raise the limit on virtual memory (`ulimit -v`)"
    )]
    Engine {
        /// How many instances it was to hold.
        instances: u32,
        /// What failed.
        reason: String,
    },
    /// Not WebAssembly.
    #[error("is not WebAssembly: {reason}; `statehouse build` makes a component")]
    NotWasm {
        /// What it is instead, as far as its first bytes tell.
        reason: String,
    },
    /// A module without the component around it.
    #[error("is a core module, not a component: `statehouse build` makes a component")]
    CoreModule,
    /// More bytes than a component may have.
    #[error("has {bytes} bytes, and a component may have {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// It does not validate or compile.
    #[error("does not compile: {reason}")]
    Compile {
        /// What the compiler said.
        reason: String,
    },
    /// An export that every operator component has is missing.
    #[error("does not export `{export}`, which every component with operators exports")]
    MissingExport {
        /// The interface, or the function of it.
        export: String,
    },
    /// Imports that nobody provides.
    #[error("{}", unknown_imports(imports))]
    UnknownImports {
        /// The names.
        imports: Vec<String>,
    },
    /// Built against a version of the contract that this host does not serve.
    #[error(
        "uses `{name}`, and this host serves statehouse:operator {served}: build it again with the SDK of that version"
    )]
    Version {
        /// The import or export.
        name: String,
        /// What the host serves.
        served: &'static str,
    },
    /// An import or export has another type than the contract says.
    #[error("does not fit the contract statehouse:operator: {reason}")]
    Contract {
        /// What does not fit.
        reason: String,
    },
    /// What it declares cannot be right.
    #[error("declares what cannot be: {reason}")]
    Description {
        /// What is wrong.
        reason: String,
    },
    /// The component has no operator of that name.
    #[error("has no operator `{operator}`; it has {}", listed(known))]
    UnknownOperator {
        /// The name asked for.
        operator: String,
        /// The names that it has.
        known: Vec<String>,
    },
    /// All instances that the engine has room for are in use.
    #[error(
        "no instance is free: the engine has room for {instances}, and all are in use; raise the number of \
         instances or lower the parallelism"
    )]
    InstancesExhausted {
        /// How many the engine has room for.
        instances: u32,
    },
    /// More memory at start than an instance may have.
    #[error("needs more memory to start than the {limit_bytes} bytes that it may have")]
    MemoryExceeded {
        /// The limit.
        limit_bytes: usize,
    },
    /// A call outside of any batch took too long.
    #[error("`{call}` ran past its deadline of {limit:?}")]
    DeadlineExceeded {
        /// The function.
        call: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// A call outside of any batch trapped.
    #[error("`{call}` trapped: {reason}")]
    Trapped {
        /// The function, or `start`.
        call: &'static str,
        /// What happened, and where.
        reason: String,
    },
    /// The operator refused its settings.
    #[error("operator `{operator}` refuses its settings: {reason}")]
    Refused {
        /// The operator.
        operator: String,
        /// In its own words.
        reason: String,
    },
}

fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    if quoted.is_empty() { "none".to_owned() } else { quoted.join(", ") }
}

fn unknown_imports(imports: &[String]) -> String {
    let mut message = format!("imports what no host provides: {}", listed(imports));
    if imports.iter().any(|import| import.starts_with("wasi:")) {
        message.push_str(
            "; nothing but statehouse:operator can be reached from an operator yet, so build it for a target without \
             WASI (wasm32-unknown-unknown) or leave out what needs files, clocks or the network",
        );
    }
    message
}
