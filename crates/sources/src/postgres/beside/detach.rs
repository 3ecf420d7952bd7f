//! Taking tables of a scratch server out of what they are tied to, and into a schema of their own.

use vouchsafe_capture::CaptureError;

use super::super::session::{Session, literal, quoted};
use super::choose::{Chosen, numbers};

/// Where a schema of the original goes that has the name of the new one.
const AWAY: &str = "vouchsafe_away";

/// Runs what a query writes in its first column, if anything, and gives what it says in the second.
fn each(session: &mut Session, sql: &str) -> Result<Vec<String>, CaptureError> {
    let mut out = Vec::new();
    for row in session.rows(sql)? {
        let mut row = row.into_iter().map(Option::unwrap_or_default);
        let (statement, said) = (row.next().unwrap_or_default(), row.next());
        if !statement.is_empty() {
            session.execute(&statement)?;
        }
        out.extend(said.filter(|said| !said.is_empty()));
    }
    Ok(out)
}

/// Takes away what binds the tables to others or acts by itself; gives what that was, each as half a sentence.
pub(super) fn detach(
    session: &mut Session,
    chosen: &[Chosen],
) -> Result<Vec<String>, CaptureError> {
    session.execute("SET default_transaction_read_only = off")?;
    let ids = numbers(chosen);
    let steps = [
        // What acts on definitions would act on what we do here.
        "SELECT format('ALTER EVENT TRIGGER %I DISABLE', evtname), '' FROM pg_event_trigger"
            .to_owned(),
        format!(
            "SELECT format('ALTER TABLE %s DETACH PARTITION %s', i.inhparent::regclass, i.inhrelid::regclass), \
             format('that %s is a partition of %s', i.inhrelid::regclass, i.inhparent::regclass) \
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
             WHERE c.relispartition AND i.inhrelid IN ({ids}) AND i.inhparent NOT IN ({ids})"
        ),
        format!(
            "SELECT format('ALTER TABLE %s NO INHERIT %s', i.inhrelid::regclass, i.inhparent::regclass), \
             format('that %s inherits from %s', i.inhrelid::regclass, i.inhparent::regclass) \
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
             WHERE NOT c.relispartition AND i.inhrelid IN ({ids}) AND i.inhparent NOT IN ({ids})"
        ),
        format!(
            "SELECT '', format('the table %s, which inherits from %s', i.inhrelid::regclass, i.inhparent::regclass) \
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
             WHERE NOT c.relispartition AND i.inhparent IN ({ids}) AND i.inhrelid NOT IN ({ids})"
        ),
        format!(
            "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname), \
             format('the foreign key %I of %s to %s', k.conname, k.conrelid::regclass, k.confrelid::regclass) \
             FROM pg_constraint k WHERE k.contype = 'f' AND k.conparentid = 0 AND k.conrelid IN ({ids}) \
             AND k.confrelid NOT IN ({ids}) ORDER BY 2"
        ),
        format!(
            "SELECT format('DROP TRIGGER %I ON %s', t.tgname, t.tgrelid::regclass), \
             format('the trigger %I of %s', t.tgname, t.tgrelid::regclass) FROM pg_trigger t \
             WHERE NOT t.tgisinternal AND coalesce(to_jsonb(t)->>'tgparentid', '0') = '0' AND t.tgrelid IN ({ids}) \
             ORDER BY 2"
        ),
        format!(
            "SELECT format('DROP RULE %I ON %s', r.rulename, r.ev_class::regclass), \
             format('the rule %I of %s', r.rulename, r.ev_class::regclass) FROM pg_rewrite r \
             WHERE r.ev_class IN ({ids}) ORDER BY 2"
        ),
        format!(
            "SELECT format('DROP POLICY %I ON %s', p.polname, p.polrelid::regclass), \
             format('the policy %I of %s', p.polname, p.polrelid::regclass) FROM pg_policy p \
             WHERE p.polrelid IN ({ids}) ORDER BY 2"
        ),
        format!(
            "SELECT format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY, NO FORCE ROW LEVEL SECURITY', c.oid::regclass), \
             format('row-level security of %s', c.oid::regclass) FROM pg_class c \
             WHERE c.oid IN ({ids}) AND (c.relrowsecurity OR c.relforcerowsecurity) ORDER BY 2"
        ),
        format!(
            "SELECT '', format('that the publication %I sends %s', p.pubname, r.prrelid::regclass) \
             FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid IN ({ids}) ORDER BY 2"
        ),
    ];
    let mut out = Vec::new();
    for sql in &steps {
        out.extend(each(session, sql)?);
    }
    Ok(out)
}

/// Moves the tables, with their indexes, the sequences they own and their statistics, into a new schema.
pub(super) fn move_into(
    session: &mut Session,
    chosen: &[Chosen],
    schema: &str,
) -> Result<(), CaptureError> {
    let (ids, name) = (numbers(chosen), literal(schema));
    each(
        session,
        &format!(
            "SELECT format('ALTER SCHEMA %I RENAME TO {AWAY}', nspname), '' FROM pg_namespace WHERE nspname = {name}"
        ),
    )?;
    session.execute(&format!("CREATE SCHEMA {}", quoted(schema)))?;
    let moves = [
        format!(
            "SELECT format('ALTER STATISTICS %I.%I SET SCHEMA %I', n.nspname, s.stxname, {name}), '' \
             FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.stxrelid IN ({ids})"
        ),
        format!(
            "SELECT format('ALTER TABLE %s SET SCHEMA %I', c.oid::regclass, {name}), '' FROM pg_class c \
             WHERE c.oid IN ({ids})"
        ),
    ];
    for sql in &moves {
        each(session, sql)?;
    }
    Ok(())
}
