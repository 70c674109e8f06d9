//! How a day ended.

use super::Day;
use crate::past::{Ms, timestamp};
use crate::pipes::Pipe;
use crate::plan::ServicePlan;
use std::collections::BTreeMap;
use tagship::{ReleaseId, ServiceRole};

impl Day {
    /// What hasn't come to an end.
    pub(super) fn unfinished(&self) -> Vec<String> {
        let executions = self.pipes.iter().flat_map(|pipe| pipe.engine.executions());
        let open = executions.filter(|execution| !execution.status.ended());
        let open = open.map(|execution| format!("execution {} is still {}", execution.id, execution.status.as_str()));
        let running = self
            .invocations
            .values()
            .map(|it| format!("{} of {} is still running", it.delivery.job.action, it.delivery.job.release));
        open.chain(running).collect()
    }

    /// How the day ended, in words that don't depend on numbers given on the way.
    pub fn ends(&self) -> Vec<String> {
        let mut ends = Vec::new();
        for pipe in &self.pipes {
            for execution in pipe.engine.executions() {
                let n = pipe.releases.get(&execution.id).copied().unwrap_or_default() + 1;
                let release = ReleaseId::try_from(execution.id.to_string()).ok();
                let how = release.iter().flat_map(|release| {
                    // A release that never held is marked only so that it doesn't start later; its event may get lost.
                    let marks = self
                        .cloud
                        .ended
                        .iter()
                        .filter(move |((role, of), _)| of == release && self.checks.held(role, release));
                    marks.map(|((role, _), ended)| format!("{role} {}", ended.how.as_str()))
                });
                let how: Vec<String> = how.collect();
                ends.push(format!("{} r{n}: {}, {}", pipe.name, execution.status.as_str(), how.join(", ")));
                for role in self.cloud.services.keys() {
                    let alive = self.cloud.instances.values().filter(|instance| {
                        let face = instance.face.now();
                        instance.alive() && face.service.as_ref() == Some(role) && face.release == release
                    });
                    let alive = alive.count();
                    if alive > 0 {
                        ends.push(format!("  {role} r{n}: {alive} alive"));
                    }
                }
            }
        }
        ends
    }

    /// Every release of a product, and when its execution was touched last.
    pub fn releases(&self) -> Vec<(ServiceRole, ReleaseId, Ms)> {
        let of = |(pipe, service): (&Pipe, &ServicePlan)| -> Vec<_> {
            let executions = pipe.engine.executions().iter();
            let told = executions.filter_map(|it| {
                let at = it.updated.duration_since(timestamp(0)).as_millis() as Ms;
                Some((service.role.clone(), ReleaseId::try_from(it.id.to_string()).ok()?, at))
            });
            told.collect()
        };
        self.pipes.iter().zip(&self.plan.services).flat_map(of).collect()
    }

    /// Executions by their status.
    pub fn executions(&self) -> BTreeMap<&'static str, u64> {
        let mut executions = BTreeMap::new();
        for execution in self.pipes.iter().flat_map(|pipe| pipe.engine.executions()) {
            *executions.entry(execution.status.as_str()).or_default() += 1;
        }
        executions
    }

    /// Releases by how they ended.
    pub fn outcomes(&self) -> BTreeMap<&'static str, u64> {
        let mut outcomes = BTreeMap::new();
        for ended in self.cloud.ended.values() {
            *outcomes.entry(ended.how.as_str()).or_default() += 1;
        }
        outcomes
    }
}
