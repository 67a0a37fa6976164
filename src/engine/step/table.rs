//! The rules of a payment as a table: every stage, with what may have happened before, and
//! everything that can be heard there, at every gateway. `docs/lifecycle-table.txt` is what the
//! code does; `docs/lifecycle.md` is what it is meant to do. A change of behaviour is a change of
//! the file.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::tests::{
    GATEWAY, Life, answer, of_another, of_another_amount, reason, rules, state, unmarked,
};
use super::*;

/// What a row of the table depends on beside the stage and what is heard.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Variant {
    gateway: &'static str,
    trade_type: &'static str,
}

impl Variant {
    const ALL: [Self; 4] = [
        Self::new("cloudpay", "micro"),
        Self::new("cloudpay", "scan"),
        Self::new("epay123", "micro"),
        Self::new("epay123", "scan"),
    ];

    const fn new(gateway: &'static str, trade_type: &'static str) -> Self {
        Self {
            gateway,
            trade_type,
        }
    }

    fn life(self) -> Life {
        let trade_type = match self.trade_type {
            "micro" => TradeType::MicroPay,
            _ => TradeType::ScanCode,
        };
        let traits = match self.gateway {
            "cloudpay" => crate::gateway::cloudpay::TRAITS,
            _ => crate::gateway::epay123::TRAITS,
        };
        let rules = Rules {
            gateway: traits,
            ..rules()
        };
        Life::new(trade_type, rules)
    }
}

/// A stage, with what has happened before. `None` where a gateway or a kind of order never comes to
/// it.
struct Start {
    name: &'static str,
    /// What is exchanged there.
    task: Task,
    reach: fn(&mut Life) -> Option<()>,
}

/// Makes what is heard: once for each case.
type Saying = fn() -> Heard;

/// Everything that can be heard.
fn everything() -> Vec<(String, Saying)> {
    const STATES: [(OrderState, Saying); 10] = [
        (OrderState::Paying, || state(OrderState::Paying)),
        (OrderState::CodeReady, || state(OrderState::CodeReady)),
        (OrderState::Paid, || state(OrderState::Paid)),
        (OrderState::Failed, || state(OrderState::Failed)),
        (OrderState::Closed, || state(OrderState::Closed)),
        (OrderState::Reversed, || state(OrderState::Reversed)),
        (OrderState::Refunded, || state(OrderState::Refunded)),
        (OrderState::Reentry, || state(OrderState::Reentry)),
        (OrderState::NotFound, || state(OrderState::NotFound)),
        (OrderState::Unknown, || state(OrderState::Unknown)),
    ];
    const VERDICTS: [(&str, Saying); 18] = [
        ("of another amount", || of_another_amount(OrderState::Paid)),
        ("another's is paid", || of_another(OrderState::Paid)),
        ("another's is paying", || of_another(OrderState::Paying)),
        ("another's is closed", || of_another(OrderState::Closed)),
        ("unmarked is paid", || unmarked(OrderState::Paid)),
        ("unmarked is paying", || unmarked(OrderState::Paying)),
        ("unmarked is closed", || unmarked(OrderState::Closed)),
        ("ask again", || answer(Verdict::AskAgain)),
        ("done", || answer(Verdict::Done)),
        ("no such order", || answer(Verdict::NotFound)),
        ("refused", || answer(Verdict::Refused(reason()))),
        ("refused, unsigned", || {
            answer(Verdict::RefusedUnsigned(reason()))
        }),
        ("re-entry", || answer(Verdict::Reentry(reason()))),
        ("number used", || answer(Verdict::NumberUsed(reason()))),
        ("busy", || answer(Verdict::Busy(reason()))),
        ("untrusted", || answer(Verdict::Untrusted(reason()))),
        ("not sent", || Heard::NotSent(reason())),
        ("lost", || Heard::Lost(reason())),
    ];
    let states = STATES
        .into_iter()
        .map(|(state, heard)| (format!("order is {}", state.name()), heard));
    let verdicts = VERDICTS
        .into_iter()
        .map(|(name, heard)| (name.to_owned(), heard));
    states.chain(verdicts).collect()
}

/// What follows: the order's state, the stage, what is due and when, and who hears of it.
fn outcome(life: &Life, step: &Step) -> String {
    let due = match step.next {
        None => "-".to_owned(),
        Some((at, task)) => {
            let wait = at.saturating_duration_since(life.now).as_secs_f64();
            format!("{} in {wait:.1} s", format!("{task:?}").to_lowercase())
        }
    };
    let mut line = format!(
        "{:<11}{:<23}{due:<19}{:<9}{:<6}",
        life.state().name(),
        format!("{:?}", life.track.stage),
        if step.changed { "journal" } else { "" },
        if step.news { "news" } else { "" },
    );
    if life.track.order.late {
        line += "late";
    }
    line.trim_end().to_owned()
}

/// Which variants have the same outcome, in few words.
fn names(of: &[Variant], all: &[Variant]) -> String {
    if of.len() == all.len() {
        return "all".to_owned();
    }
    for gateway in ["cloudpay", "epay123"] {
        let at = |variants: &[Variant]| {
            variants
                .iter()
                .copied()
                .filter(|variant| variant.gateway == gateway)
                .collect::<Vec<_>>()
        };
        if of == at(all) {
            return gateway.to_owned();
        }
    }
    for trade_type in ["micro", "scan"] {
        let at: Vec<_> = all
            .iter()
            .copied()
            .filter(|variant| variant.trade_type == trade_type)
            .collect();
        if of == at {
            return trade_type.to_owned();
        }
    }
    let words = |variant: &Variant| format!("{} {}", variant.gateway, variant.trade_type);
    let others: Vec<_> = all.iter().filter(|other| !of.contains(other)).collect();
    match others[..] {
        [other] => format!("all but {}", words(other)),
        _ => of.iter().map(words).collect::<Vec<_>>().join(", "),
    }
}

/// The table, and how many cases its rows stand for.
fn table() -> (String, usize) {
    let mut text = String::from(
        "What follows from what is heard, in every stage, as src/engine/step.rs has it. The rules are in lifecycle.md.\n\
         Written by `UPDATE_TABLES=1 cargo test lifecycle_table`.\n\
         what is heard | where | the order's state, its stage, what is due; whether the journal and the register hear of it\n",
    );
    let mut cases = 0;
    for start in STARTS {
        let lives = || {
            Variant::ALL.into_iter().filter_map(|variant| {
                let mut life = variant.life();
                (start.reach)(&mut life)?;
                Some((variant, life))
            })
        };
        let all: Vec<Variant> = lives().map(|(variant, _)| variant).collect();
        let stage = lives()
            .next()
            .map(|(_, life)| format!("{:?}", life.track.stage))
            .unwrap_or_default();
        let task = format!("{:?}", start.task).to_lowercase();
        let _ = writeln!(text, "\n## {} ({stage}, {task})", start.name);
        for (name, heard) in everything() {
            let mut outcomes: BTreeMap<Vec<Variant>, String> = BTreeMap::new();
            for (variant, mut life) in lives() {
                let step = life
                    .track
                    .hear(start.task, life.now, heard(), &life.rules, life.now);
                let line = outcome(&life, &step);
                cases += 1;
                let same = outcomes
                    .iter()
                    .find(|(_, known)| **known == line)
                    .map(|(variants, _)| variants.clone());
                let mut variants = same.unwrap_or_default();
                outcomes.remove(&variants);
                variants.push(variant);
                outcomes.insert(variants, line);
            }
            for (variants, line) in outcomes {
                let _ = writeln!(text, "{name:<20} {:<30} {line}", names(&variants, &all));
            }
        }
    }
    (text, cases)
}

#[test]
fn lifecycle_table() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/lifecycle-table.txt");
    let (text, cases) = table();
    assert!(cases > 1_000, "{cases} cases");
    if std::env::var_os("UPDATE_TABLES").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    for (at, (was, is)) in known.lines().zip(text.lines()).enumerate() {
        assert_eq!(
            was,
            is,
            "{} line {}: if that is meant, write the table anew",
            path.display(),
            at + 1
        );
    }
    assert_eq!(known, text);
}

/// As the journal knows it.
fn restart(life: &mut Life, final_for: Duration) {
    let (order, origin) = (life.track.order.clone(), life.track.origin.clone());
    let trade_type = life.track.trade_type;
    life.track = Track::resting(order, origin, trade_type, final_for, life.now);
}

/// Sent at 0 s, and the answer was lost; it is 10 s now.
fn lost(life: &mut Life) -> Option<()> {
    life.hear(Task::Pay, Heard::Lost(reason()));
    life.at(10.0);
    Some(())
}

/// The answer to the payment said so; it is 10 s now.
fn answered(life: &mut Life, heard: Heard) -> Option<()> {
    life.hear(Task::Pay, heard);
    life.at(10.0);
    Some(())
}

/// The window is over, at 160 s.
fn slow(life: &mut Life) -> Option<()> {
    life.at(160.0).hear(Task::Query, Heard::Lost(reason()));
    life.at(220.0);
    Some(())
}

/// The gate has passed, at 30 s; the fresh query is due.
fn begun(life: &mut Life, asker: Asker) -> Option<()> {
    life.track.take_back(asker, &life.rules, life.now);
    life.at(30.0);
    Some(())
}

/// …and said so.
fn checked(life: &mut Life, asker: Asker, said: OrderState) -> Option<()> {
    begun(life, asker)?;
    let next = life.hear(Task::Query, state(said));
    matches!(next, Some((_, Task::TakeBack))).then_some(())
}

/// …and the reverse or close was answered so.
fn reversed(life: &mut Life, asker: Asker, said: OrderState, answer: Heard) -> Option<()> {
    checked(life, asker, said)?;
    life.hear(Task::TakeBack, answer);
    Some(())
}

fn ready(life: &mut Life) -> Option<()> {
    if life.track.trade_type == TradeType::MicroPay {
        return None;
    }
    answered(life, state(OrderState::CodeReady))
}

const STARTS: &[Start] = &[
    Start {
        name: "first sending",
        task: Task::Pay,
        reach: |life| {
            life.track.sending(GATEWAY, life.now);
            Some(())
        },
    },
    Start {
        name: "first sending, after one that did not leave",
        task: Task::Pay,
        reach: |life| {
            life.hear(Task::Pay, Heard::NotSent(reason()));
            life.at(0.5);
            life.track.sending(GATEWAY, life.now);
            Some(())
        },
    },
    Start {
        name: "second sending of the same bytes",
        task: Task::Pay,
        reach: |life| {
            lost(life)?;
            life.hear(Task::Query, answer(Verdict::NotFound));
            let next = life.at(12.0).hear(Task::Query, answer(Verdict::NotFound));
            life.track.sending(GATEWAY, life.now);
            matches!(next, Some((_, Task::Pay))).then_some(())
        },
    },
    Start {
        name: "polled, the answer was lost",
        task: Task::Query,
        reach: lost,
    },
    Start {
        name: "polled, the answer was lost, one absence",
        task: Task::Query,
        reach: |life| {
            lost(life)?;
            life.hear(Task::Query, answer(Verdict::NotFound));
            life.at(12.0);
            Some(())
        },
    },
    Start {
        name: "polled, the answer was lost, one absence, the code is dead",
        task: Task::Query,
        reach: |life| {
            lost(life)?;
            life.at(75.0).hear(Task::Query, answer(Verdict::NotFound));
            life.at(78.0);
            Some(())
        },
    },
    Start {
        name: "polled, refused without a signature",
        task: Task::Query,
        reach: |life| answered(life, answer(Verdict::RefusedUnsigned(reason()))),
    },
    Start {
        name: "polled, the customer is deciding",
        task: Task::Query,
        reach: |life| answered(life, state(OrderState::Paying)),
    },
    Start {
        name: "polled, the QR code is shown",
        task: Task::Query,
        reach: ready,
    },
    Start {
        name: "polled, after a restart",
        task: Task::Query,
        reach: |life| {
            lost(life)?;
            restart(life, Duration::ZERO);
            life.track
                .recover(Duration::from_secs(10), &life.rules, life.now);
            Some(())
        },
    },
    Start {
        name: "asked slowly, nothing was ever heard",
        task: Task::Query,
        reach: |life| {
            lost(life)?;
            slow(life)
        },
    },
    Start {
        name: "asked slowly, the customer was deciding",
        task: Task::Query,
        reach: |life| {
            answered(life, state(OrderState::Paying))?;
            slow(life)
        },
    },
    Start {
        name: "before the register's cancel, nothing was ever heard",
        task: Task::Query,
        reach: |life| {
            lost(life)?;
            begun(life, Asker::Register)
        },
    },
    Start {
        name: "before the register's cancel, the customer is deciding",
        task: Task::Query,
        reach: |life| {
            answered(life, state(OrderState::Paying))?;
            begun(life, Asker::Register)
        },
    },
    Start {
        name: "before the register's cancel, the QR code is shown",
        task: Task::Query,
        reach: |life| {
            ready(life)?;
            begun(life, Asker::Register)
        },
    },
    Start {
        name: "before the register's cancel, it is paid",
        task: Task::Query,
        reach: |life| {
            answered(life, state(OrderState::Paid))?;
            begun(life, Asker::Register)
        },
    },
    Start {
        name: "before the register's cancel, it failed by absence",
        task: Task::Query,
        reach: |life| {
            failed_by_absence(life)?;
            life.track.take_back(Asker::Register, &life.rules, life.now);
            life.at(100.0);
            Some(())
        },
    },
    Start {
        name: "before the reverse at the end of the window, the customer is deciding",
        task: Task::Query,
        reach: |life| {
            answered(life, state(OrderState::Paying))?;
            begun(life, Asker::Timeout)
        },
    },
    Start {
        name: "the register's reverse or close, the customer is deciding",
        task: Task::TakeBack,
        reach: |life| {
            answered(life, state(OrderState::Paying))?;
            checked(life, Asker::Register, OrderState::Paying)
        },
    },
    Start {
        name: "the register's reverse, it is paid",
        task: Task::TakeBack,
        reach: |life| {
            answered(life, state(OrderState::Paid))?;
            checked(life, Asker::Register, OrderState::Paid)
        },
    },
    Start {
        name: "after the register's reverse or close, done",
        task: Task::Query,
        reach: |life| {
            answered(life, state(OrderState::Paying))?;
            let done = answer(Verdict::Done);
            reversed(life, Asker::Register, OrderState::Paying, done)
        },
    },
    Start {
        name: "after the register's reverse or close, lost",
        task: Task::Query,
        reach: |life| {
            answered(life, state(OrderState::Paying))?;
            let lost = Heard::Lost(reason());
            reversed(life, Asker::Register, OrderState::Paying, lost)
        },
    },
    Start {
        name: "after the register's reverse of a paid order, done",
        task: Task::Query,
        reach: |life| {
            answered(life, state(OrderState::Paid))?;
            let done = answer(Verdict::Done);
            reversed(life, Asker::Register, OrderState::Paid, done)
        },
    },
    Start {
        name: "after the register's reverse of a paid order, refused",
        task: Task::Query,
        reach: |life| {
            answered(life, state(OrderState::Paid))?;
            let refused = answer(Verdict::Refused(reason()));
            reversed(life, Asker::Register, OrderState::Paid, refused)
        },
    },
    Start {
        name: "after the reverse at the end of the window, done",
        task: Task::Query,
        reach: |life| {
            answered(life, state(OrderState::Paying))?;
            let done = answer(Verdict::Done);
            reversed(life, Asker::Timeout, OrderState::Paying, done)
        },
    },
    Start {
        name: "watched, refused",
        task: Task::Query,
        reach: |life| {
            lost(life)?;
            life.hear(Task::Query, state(OrderState::Failed));
            life.at(15.0).hear(Task::Query, state(OrderState::Failed));
            life.at(20.0);
            (life.state() == OrderState::Failed).then_some(())
        },
    },
    Start {
        name: "watched, failed by absence",
        task: Task::Query,
        reach: failed_by_absence,
    },
    Start {
        name: "watched, reversed or closed",
        task: Task::Query,
        reach: |life| {
            answered(life, state(OrderState::Paying))?;
            let (done, ended) = (answer(Verdict::Done), ended(life));
            reversed(life, Asker::Register, OrderState::Paying, done)?;
            life.hear(Task::Query, state(ended));
            life.at(36.0).hear(Task::Query, state(ended));
            life.at(40.0);
            (life.state() == ended).then_some(())
        },
    },
    Start {
        name: "watched, paid and then reversed",
        task: Task::Query,
        reach: |life| {
            answered(life, state(OrderState::Paid))?;
            let done = answer(Verdict::Done);
            reversed(life, Asker::Register, OrderState::Paid, done)?;
            life.hear(Task::Query, state(OrderState::Reversed));
            life.at(36.0);
            (life.state() == OrderState::Reversed).then_some(())
        },
    },
    Start {
        name: "at rest, paid; the register asks",
        task: Task::Query,
        reach: |life| answered(life, state(OrderState::Paid)),
    },
    Start {
        name: "at rest after a day, nothing was ever heard; the register asks",
        task: Task::Query,
        reach: |life| {
            lost(life)?;
            life.at(100_000.0);
            restart(life, Duration::ZERO);
            life.track.order.state = OrderState::Unknown;
            Some(())
        },
    },
    Start {
        name: "at rest, failed by absence, the watch is over; the register asks",
        task: Task::Query,
        reach: |life| {
            failed_by_absence(life)?;
            life.at(100_000.0);
            restart(life, Duration::from_secs(9_000));
            Some(())
        },
    },
];

/// Neither sending nor code can come to anything any more, and twice there was no such order.
fn failed_by_absence(life: &mut Life) -> Option<()> {
    lost(life)?;
    life.at(75.0).hear(Task::Query, answer(Verdict::NotFound));
    life.at(78.0).hear(Task::Query, answer(Verdict::NotFound));
    life.at(80.0);
    (life.state() == OrderState::Failed).then_some(())
}

/// How a proven take-back ends.
fn ended(life: &Life) -> OrderState {
    match life.track.trade_type {
        TradeType::MicroPay if life.rules.gateway.reverses => OrderState::Reversed,
        _ => OrderState::Closed,
    }
}
