//! Carrying out what a run orders: looking, running programs, acting, undoing.

use super::stored::now_ms;
use super::told::{acted, undone};
use super::work::Work;
use super::{acts, command, figures};
use gate_model::resources::{GatewayAction, RunbookSettings, StepWork};
use gate_ops::runbook::{Act, Order, Run, Verdict, judge};
use gate_store::control::ControlError;
use std::sync::mpsc::TryRecvError;

/// Orders of one run that are carried out before others have their turn.
const ORDERS_MAX: usize = 20;

impl Work {
    /// Carries out what a run orders, until it waits.
    pub(super) fn advance(&mut self, id: &str) -> Result<(), ControlError> {
        for _ in 0..ORDERS_MAX {
            let Some(run) = self.desk().run(id).cloned() else {
                return Ok(());
            };
            if !self.carry_out(&run)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Does what comes next in a run; whether more may follow at once.
    fn carry_out(&mut self, run: &Run) -> Result<bool, ControlError> {
        let id = run.id.clone();
        let life = self.life.clone();
        if run.begun.is_some()
            && let Some(result) = self.ended(&id)
        {
            self.on_run(&id, |run, now_ms| run.finished(result.clone(), now_ms))?;
            return Ok(true);
        }
        let mut next = run.clone();
        next.resume(&life, now_ms());
        next.tick(now_ms());
        if next != *run {
            self.on_run(&id, |run, now_ms| {
                run.resume(&life, now_ms);
                run.tick(now_ms);
            })?;
            return Ok(true);
        }
        match run.order() {
            Order::Wait => Ok(false),
            Order::Look { check, from_ms } => {
                let (verdict, text) = match figures::window(check, from_ms, now_ms()) {
                    Some(seconds) => {
                        judge(check, &figures::figures(&self.process, check, &seconds))
                    }
                    None => (Verdict::TooFew, "its window is not over yet".to_owned()),
                };
                let mut next = run.clone();
                next.looked(verdict, &text, now_ms());
                if next == *run {
                    return Ok(false);
                }
                self.on_run(&id, |run, now_ms| run.looked(verdict, &text, now_ms))?;
                Ok(true)
            }
            Order::Command { step } => self.run_command(run, &step.work),
            Order::Act {
                id: act,
                action,
                lasts_ms,
            } => self.act(run, &act, action, lasts_ms),
            Order::Undo(act) => {
                self.undo(&id, act)?;
                Ok(true)
            }
        }
    }

    /// What became of the program that a run waits for, once something has.
    fn ended(&mut self, id: &str) -> Option<Result<String, String>> {
        let result = match self.running.get(id)?.try_recv() {
            Ok(result) => result,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => Err("nobody knows what became of it".to_owned()),
        };
        self.running.remove(id);
        Some(result)
    }

    /// Changes a run, and has its incident know.
    fn on_run(
        &mut self,
        id: &str,
        mut change: impl FnMut(&mut Run, u64),
    ) -> Result<(), ControlError> {
        let changed = self.change(|desk, _, now_ms| {
            let run = desk.run(id)?;
            change(run, now_ms);
            Some(run.clone())
        })?;
        if let Some(run) = changed {
            self.note(&run);
        }
        Ok(())
    }

    fn run_command(&mut self, run: &Run, work: &StepWork) -> Result<bool, ControlError> {
        let StepWork::Command {
            program,
            arguments,
            timeout,
        } = work
        else {
            return Ok(false);
        };
        let (id, life) = (run.id.clone(), self.life.clone());
        // The settings of now, not those of when the run began.
        let resources = self.process.shared().snapshot.load().resources.clone();
        let settings: &RunbookSettings = &resources.gateway.runbooks;
        if !settings.allows(program, arguments) {
            let text = format!(
                "`gateway.runbooks.commands` does not allow {} with these arguments",
                program.display()
            );
            self.on_run(&id, |run, now_ms| run.finished(Err(text.clone()), now_ms))?;
            return Ok(true);
        }
        let mut is_begun = false;
        self.on_run(&id, |run, now_ms| is_begun = run.begin(&life, now_ms))?;
        if !is_begun {
            return Ok(false);
        }
        let timeout = timeout.duration();
        let receiver = command::start(program, arguments, &id, timeout);
        self.running.insert(id, receiver);
        Ok(false)
    }

    /// Puts an action of a run in force.
    fn act(
        &mut self,
        run: &Run,
        act_id: &str,
        action: &GatewayAction,
        lasts_ms: u64,
    ) -> Result<bool, ControlError> {
        let act = match self.meant(run, act_id, action, lasts_ms) {
            Ok(act) => act,
            Err(text) => {
                self.on_run(&run.id, |run, now_ms| {
                    run.finished(Err(text.clone()), now_ms);
                })?;
                return Ok(true);
            }
        };
        if !self.begin_act(&run.id, &act)? {
            return Ok(true);
        }
        let result = acts::put_in_force(&self.process, &self.stored, &self.desk(), &act);
        if result.is_err() {
            let by = self.instance.clone();
            self.change(|desk, told, _| {
                if let Some(act) = desk.undo(act_id) {
                    told.push(undone(&act, &by, "it could not be done"));
                }
            })?;
            acts::apply(&self.process, &self.desk());
        }
        self.on_run(&run.id, |run, now_ms| {
            if result.is_err() {
                run.acts.retain(|known| known != act_id);
            }
            run.finished(result.clone(), now_ms);
        })?;
        Ok(true)
    }

    /// The action of a run as it is or would be on the desk.
    fn meant(
        &self,
        run: &Run,
        act_id: &str,
        action: &GatewayAction,
        lasts_ms: u64,
    ) -> Result<Act, String> {
        if let Some(known) = self.desk().acts.into_iter().find(|act| act.id == act_id) {
            return Ok(known);
        }
        let now_ms = now_ms();
        let what = acts::resolve(&self.process, action, now_ms)?;
        let from = match what {
            GatewayAction::RollBack {} => acts::current(&self.stored),
            _ => None,
        };
        Ok(Act {
            id: act_id.to_owned(),
            what,
            since_ms: now_ms,
            until_ms: now_ms + lasts_ms,
            by: format!("runbook/{}", run.runbook),
            reason: format!(
                "run {} of {}, {}",
                run.id,
                run.runbook,
                run.cause.in_words()
            ),
            run: Some(run.id.clone()),
            from,
        })
    }

    /// Begins the step and puts its action on the desk, both or neither; whether it did.
    fn begin_act(&mut self, id: &str, act: &Act) -> Result<bool, ControlError> {
        let (life, by) = (self.life.clone(), self.instance.clone());
        let begun = self.change(|desk, told, now_ms| {
            // Somebody may have ended the run meanwhile.
            if !desk.run(id)?.begin(&life, now_ms) {
                return None;
            }
            let is_new = desk.acts.iter().all(|known| known.id != act.id);
            let put = desk.act(act.clone());
            let run = desk.run(id)?;
            if let Err(text) = put {
                run.finished(Err(text), now_ms);
                return None;
            }
            run.acted(&act.id);
            if is_new {
                told.push(acted(act, &by, "system"));
            }
            Some(())
        })?;
        Ok(begun.is_some())
    }

    /// Undoes an action of a run.
    fn undo(&mut self, id: &str, act_id: &str) -> Result<(), ControlError> {
        let act = self.desk().acts.into_iter().find(|act| act.id == act_id);
        let text = match &act {
            Some(act) => acts::take_back(&self.stored, act, now_ms()),
            None => "its time was over already".to_owned(),
        };
        let by = self.instance.clone();
        let changed = self.change(|desk, told, now_ms| {
            if let Some(act) = desk.undo(act_id) {
                told.push(undone(&act, &by, "its run did not end well"));
            }
            let run = desk.run(id)?;
            run.undone(act_id, &text, now_ms);
            Some(run.clone())
        })?;
        acts::apply(&self.process, &self.desk());
        if let Some(run) = changed {
            self.note(&run);
        }
        Ok(())
    }
}
