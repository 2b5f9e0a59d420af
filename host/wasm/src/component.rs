//! Components: compiled, checked, and asked what they declare, before any of their operators runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use statehouse_operator::{Description, Migrations};
use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component as Compiled, ComponentExportIndex, InstancePre};

use crate::bindings::{Describe, ListMigrations, MIGRATION, OPERATOR, VERSION};
use crate::describe::description;
use crate::engine::WasmEngine;
use crate::error::Error;
use crate::host::Host;
use crate::imports::{INTERFACES, linker};
use crate::inspect::{Inspection, Interface};
use crate::instance::{self, Started};
use crate::limits::Limits;
use crate::migration;

/// What an operator takes over that says nothing about it.
static NONE: Migrations = Migrations { renames: Vec::new(), steps: Vec::new() };

/// A component with operators, ready to be opened any number of times. `clone` shares it.
#[derive(Clone)]
pub struct Component {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) engine: WasmEngine,
    pub(crate) pre: InstancePre<Host>,
    pub(crate) exports: Exports,
    digest: blake3::Hash,
    size_bytes: usize,
    origin: CodeOrigin,
    operators: Vec<Description>,
    /// One for each operator.
    migrations: Vec<Migrations>,
}

/// Where the functions of the contract are among the component's exports.
pub(crate) struct Exports {
    pub(crate) describe: ComponentExportIndex,
    pub(crate) open: ComponentExportIndex,
    pub(crate) process: ComponentExportIndex,
    pub(crate) on_timers: ComponentExportIndex,
    /// Not every component has them.
    pub(crate) migration: Option<MigrationExports>,
}

/// Where the functions of the interface `migration` are.
pub(crate) struct MigrationExports {
    pub(crate) migrations: ComponentExportIndex,
    pub(crate) migrate: ComponentExportIndex,
}

/// Where a component's compiled code came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeOrigin {
    /// It was compiled just now.
    Compiled,
    /// It was compiled before, and kept.
    Cache,
}

impl fmt::Debug for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.operators().iter().map(|found| found.name.as_str()).collect();
        f.debug_struct("Component")
            .field("digest", &self.shared.digest.to_hex().as_str())
            .field("operators", &names)
            .finish_non_exhaustive()
    }
}

impl Component {
    /// Compiles a component, or takes its code from the engine's cache; checks its imports and exports before
    /// anything of it runs; then asks it what it declares, on an instance of its own, within the limits.
    ///
    /// # Errors
    /// Whatever is wrong with it, by name.
    pub fn load(engine: &WasmEngine, bytes: &[u8], limits: &Limits) -> Result<Self, Error> {
        check_header(bytes, limits)?;
        let digest = blake3::hash(bytes);
        let (compiled, origin) = compile(engine, bytes, digest)?;
        check_imports(engine.wasmtime(), &compiled)?;
        let exports = find_exports(engine.wasmtime(), &compiled)?;
        let pre = linker(engine.wasmtime())
            .and_then(|linker| linker.instantiate_pre(&compiled))
            .map_err(|error| Error::Contract { reason: format!("{error:#}") })?;
        let engine = engine.clone();
        let size_bytes = bytes.len();
        let (operators, migrations) = (Vec::new(), Vec::new());
        let mut shared =
            Shared { engine, pre, exports, digest, size_bytes, origin, operators, migrations };
        let mut asked = instance::start(&shared, None, limits)?;
        shared.operators = describe(&shared, &mut asked, limits)?;
        shared.migrations = list_migrations(&shared, &mut asked, limits)?;
        drop(asked);
        Ok(Self { shared: Arc::new(shared) })
    }

    /// What its operators declare.
    pub fn operators(&self) -> &[Description] {
        &self.shared.operators
    }

    /// What the operator of that name declares.
    ///
    /// # Errors
    /// If there is none of that name; the error lists those that there are.
    pub fn operator(&self, name: &str) -> Result<&Description, Error> {
        let found = self.operators().iter().find(|operator| operator.name == name);
        found.ok_or_else(|| Error::UnknownOperator {
            operator: name.to_owned(),
            known: self.operators().iter().map(|operator| operator.name.clone()).collect(),
        })
    }

    /// What the operator of that name takes over from its earlier versions. Nothing, if there is none of that name.
    pub fn migrations(&self, operator: &str) -> &Migrations {
        let place = self.operators().iter().position(|found| found.name == operator);
        place.and_then(|place| self.shared.migrations.get(place)).unwrap_or(&NONE)
    }

    /// The BLAKE3 hash of its bytes, in hex: its name in manifests.
    pub fn digest(&self) -> String {
        self.shared.digest.to_hex().to_string()
    }

    /// Its size.
    pub fn size_bytes(&self) -> usize {
        self.shared.size_bytes
    }

    /// Whether it had to be compiled.
    pub fn origin(&self) -> CodeOrigin {
        self.shared.origin
    }

    /// What it imports.
    pub fn imports(&self) -> Vec<Interface> {
        let engine = self.shared.engine.wasmtime();
        let ty = self.shared.pre.component().component_type();
        ty.imports(engine).map(|(name, item)| interface(engine, name, &item.ty)).collect()
    }

    /// What it exports.
    pub fn exports(&self) -> Vec<Interface> {
        let engine = self.shared.engine.wasmtime();
        let ty = self.shared.pre.component().component_type();
        ty.exports(engine).map(|(name, item)| interface(engine, name, &item.ty)).collect()
    }

    /// All that there is to see from outside.
    pub fn inspect(&self) -> Inspection {
        Inspection {
            digest: self.digest(),
            size_bytes: self.size_bytes(),
            operators: self.operators().to_vec(),
            migrations: self.inspect_migrations(),
            imports: self.imports(),
            exports: self.exports(),
        }
    }
}

impl Component {
    fn inspect_migrations(&self) -> BTreeMap<String, Migrations> {
        let names = self.operators().iter().map(|operator| operator.name.clone());
        let all = names.zip(self.shared.migrations.iter().cloned());
        all.filter(|(_, migrations)| *migrations != NONE).collect()
    }
}

/// Looks at the size and the first bytes.
fn check_header(bytes: &[u8], limits: &Limits) -> Result<(), Error> {
    if bytes.len() > limits.component_bytes {
        return Err(Error::TooLarge { bytes: bytes.len(), limit: limits.component_bytes });
    }
    let not_wasm = |reason: &str| Err(Error::NotWasm { reason: reason.to_owned() });
    match bytes {
        [] => not_wasm("it is empty"),
        // The second half of the version is the layer: 0 for modules, 1 for components.
        [0, b'a', b's', b'm', _, _, 0, 0, ..] => Err(Error::CoreModule),
        [0, b'a', b's', b'm', ..] => Ok(()),
        [b'(', ..] => not_wasm("it looks like WebAssembly text, which has to be assembled first"),
        _ => not_wasm("it does not begin with `\\0asm`"),
    }
}

fn compile(
    engine: &WasmEngine,
    bytes: &[u8],
    digest: blake3::Hash,
) -> Result<(Compiled, CodeOrigin), Error> {
    let component = digest.to_hex();
    let component = component.as_str();
    if let Some(cache) = engine.cache() {
        match cache.get(engine.wasmtime(), digest) {
            Ok(Some(compiled)) => return Ok((compiled, CodeOrigin::Cache)),
            Ok(None) => {}
            Err(why) => {
                tracing::warn!(component, "compiled code is not loaded, and made anew: {why}");
            }
        }
    }
    let compiled = Compiled::from_binary(engine.wasmtime(), bytes)
        .map_err(|error| Error::Compile { reason: format!("{error:#}") })?;
    if let Some(cache) = engine.cache() {
        let code = compiled.serialize().map_err(|error| error.to_string());
        let kept = code.and_then(|code| cache.put(digest, &code).map_err(|why| why.to_string()));
        if let Err(why) = kept {
            tracing::warn!(component, "compiled code is not kept: {why}");
        }
    }
    Ok((compiled, CodeOrigin::Compiled))
}

/// Every import must be an interface of the contract, of a version that is served.
fn check_imports(engine: &Engine, component: &Compiled) -> Result<(), Error> {
    let ty = component.component_type();
    let mut unknown = Vec::new();
    for (name, _) in ty.imports(engine) {
        let (interface, version) = name.split_once('@').unwrap_or((name, ""));
        let known =
            INTERFACES.iter().any(|known| known.split_once('@').unwrap_or_default().0 == interface);
        if known && !is_served(version) {
            return Err(Error::Version { name: name.to_owned(), served: VERSION });
        }
        if !known {
            unknown.push(name.to_owned());
        }
    }
    if unknown.is_empty() { Ok(()) } else { Err(Error::UnknownImports { imports: unknown }) }
}

/// Whether a version of the contract is one that this host serves: before 1.0 the second number says what is
/// compatible, from then on the first.
fn is_served(version: &str) -> bool {
    fn compatibility(version: &str) -> Option<(&str, &str)> {
        let (major, rest) = version.split_once('.')?;
        Some(if major == "0" { (major, rest.split_once('.')?.0) } else { (major, "") })
    }
    compatibility(version).is_some_and(|asked| Some(asked) == compatibility(VERSION))
}

fn find_exports(engine: &Engine, component: &Compiled) -> Result<Exports, Error> {
    let Some(operator) = find_interface(engine, component, OPERATOR)? else {
        return Err(Error::MissingExport { export: OPERATOR.to_owned() });
    };
    let migration = find_interface(engine, component, MIGRATION)?.map(|migration| {
        Ok(MigrationExports {
            migrations: migration.function("migrations")?,
            migrate: migration.function("migrate")?,
        })
    });
    Ok(Exports {
        describe: operator.function("describe")?,
        open: operator.function("open")?,
        process: operator.function("process")?,
        on_timers: operator.function("on-timers")?,
        migration: migration.transpose()?,
    })
}

/// An interface that a component exports.
struct Exported<'c> {
    component: &'c Compiled,
    name: String,
    index: ComponentExportIndex,
}

impl Exported<'_> {
    fn function(&self, function: &str) -> Result<ComponentExportIndex, Error> {
        let found = self.component.get_export_index(Some(&self.index), function);
        found.ok_or_else(|| Error::MissingExport { export: format!("{}#{function}", self.name) })
    }
}

/// Looks for an interface in any version that is served.
fn find_interface<'c>(
    engine: &Engine,
    component: &'c Compiled,
    interface: &str,
) -> Result<Option<Exported<'c>>, Error> {
    let ty = component.component_type();
    let interface = interface.split_once('@').unwrap_or_default().0;
    let exported = ty.exports(engine).find_map(|(name, item)| match item.ty {
        ComponentItem::ComponentInstance(_) => {
            let (found, version) = name.split_once('@')?;
            (found == interface).then(|| (name.to_owned(), version.to_owned()))
        }
        _ => None,
    });
    let Some((name, version)) = exported else { return Ok(None) };
    if !is_served(&version) {
        return Err(Error::Version { name, served: VERSION });
    }
    let index = component.get_export_index(None, &name);
    Ok(index.map(|index| Exported { component, name, index }))
}

/// Asks the component what it declares, and checks that it can be so.
fn describe(
    shared: &Shared,
    instance: &mut Started,
    limits: &Limits,
) -> Result<Vec<Description>, Error> {
    let function: Describe = instance.function(&shared.exports.describe)?;
    let (declared,) = instance.call("describe", limits, |store| function.call(store, ()))?;
    let operators: Vec<Description> = declared.into_iter().map(description).collect();
    let wrong = |reason: String| Error::Description { reason };
    if operators.is_empty() {
        return Err(wrong("there is no operator in it".to_owned()));
    }
    for (place, operator) in operators.iter().enumerate() {
        if operator.name.is_empty() {
            return Err(wrong(format!("operator {place} has no name")));
        }
        if operators[..place].iter().any(|other| other.name == operator.name) {
            return Err(wrong(format!("there are two operators `{}`", operator.name)));
        }
        operator.check().map_err(wrong)?;
    }
    Ok(operators)
}

/// Asks the component what its operators take over from their earlier versions, and checks that it can be so.
fn list_migrations(
    shared: &Shared,
    instance: &mut Started,
    limits: &Limits,
) -> Result<Vec<Migrations>, Error> {
    let Some(exports) = &shared.exports.migration else {
        return Ok(vec![NONE.clone(); shared.operators.len()]);
    };
    let function: ListMigrations = instance.function(&exports.migrations)?;
    let (declared,) = instance.call("migrations", limits, |store| function.call(store, ()))?;
    migration::check(declared, &shared.operators).map_err(|reason| Error::Description { reason })
}

fn interface(engine: &Engine, name: &str, item: &ComponentItem) -> Interface {
    let functions = match item {
        ComponentItem::ComponentInstance(instance) => instance
            .exports(engine)
            .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
            .map(|(function, _)| function.to_owned())
            .collect(),
        _ => Vec::new(),
    };
    Interface { name: name.to_owned(), functions }
}

#[cfg(test)]
mod tests;
