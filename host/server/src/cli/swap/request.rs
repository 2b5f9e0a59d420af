//! From arguments to what the job is asked for: component files are read and handed in.

use anyhow::Context;

use super::SwapArgs;
use crate::control::Client;
use crate::control::messages::{CreateSwap, SwapOperator, SwapTo, Watch};

/// A share in percent, with or without the sign.
pub(super) fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim();
    match number.parse::<f64>() {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent),
        _ => Err("it must be above 0% and at most 100%, like `5%`".to_owned()),
    }
}

pub(super) fn read(args: &SwapArgs, client: &Client) -> anyhow::Result<CreateSwap> {
    let watch = Watch {
        for_ms: u64::try_from(args.watch.as_millis()).unwrap_or(u64::MAX),
        max_rejected: args.max_rejected,
        max_latency_factor: args.max_latency_factor,
        min_output_factor: args.min_output_factor,
        invariants: args.invariants.clone(),
    };
    Ok(CreateSwap {
        operators: operators(args, client)?,
        plan_only: args.plan,
        allow_dropped_state: args.allow_dropped_state || args.yes,
        allow_new_imports: args.allow_new_imports || args.yes,
        shadow: args.shadow,
        shadow_must_match: args.shadow_must_match,
        watch,
        commit_outputs: args.commit_outputs,
        canary: args.canary,
        savepoint: args.savepoint.clone(),
    })
}

fn operators(args: &SwapArgs, client: &Client) -> anyhow::Result<Vec<SwapOperator>> {
    let name = args.operator_in_component.clone();
    let of = |id: &String, to| SwapOperator { id: id.clone(), to, operator: name.clone() };
    let ids = &args.targets;
    let operators: Vec<SwapOperator> = match (&args.to_version, args.back) {
        (Some(digest), _) => {
            let to = |id| of(id, SwapTo::Component(digest.clone()));
            ids.iter().map(to).collect()
        }
        (None, true) => ids.iter().map(|id| of(id, SwapTo::Back)).collect(),
        (None, false) => {
            let (pairs, rest) = ids.as_chunks::<2>();
            anyhow::ensure!(
                rest.is_empty(),
                "operator `{}` has no component: name pairs of an operator and the component that takes its place",
                rest[0]
            );
            let taken = pairs.iter().map(|[id, path]| {
                let bytes = std::fs::read(path).with_context(|| {
                    format!("cannot read the component `{path}`; `statehouse build` makes it")
                })?;
                let component = client.put_component(bytes)?;
                Ok(of(id, SwapTo::Component(component.digest)))
            });
            taken.collect::<anyhow::Result<_>>()?
        }
    };
    anyhow::ensure!(
        !operators.is_empty(),
        "name at least one operator, and the component that takes its place (or `--back`, or `--to-version`)"
    );
    anyhow::ensure!(
        args.operator_in_component.is_none() || operators.len() == 1,
        "`--operator-in-component` is about one operator: swap the others by themselves"
    );
    Ok(operators)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_written_with_or_without_the_sign() {
        assert_eq!(percent("5%"), Ok(5.0));
        assert_eq!(percent("0.5 %"), Ok(0.5));
        assert_eq!(percent("100"), Ok(100.0));
        for wrong in ["0", "101%", "-1", "x", "", "nan"] {
            assert!(percent(wrong).is_err(), "{wrong}");
        }
    }
}
