//! What every source must do, whatever its kind.

use std::path::Path;

use vouchsafe_capture::CaptureError;
use vouchsafe_model::SourceUrl;
use vouchsafe_sources::Settings;

use super::{Memory, World, all_to, assert_first_red, assert_green};

/// Captures, restores elsewhere, compares: green. A copy that is damaged above the vault: red on the rung that the
/// source names, and only then. What is refused leaves everything as it was. An interrupt ends everything.
pub fn conforms(world: &World, url: &str, target: &str) {
    let parsed = SourceUrl::parse(url).expect("a source");
    let source =
        vouchsafe_sources::open(&parsed, &Settings::below(Path::new("/nowhere"))).expect("opens");
    let source = source.as_ref();
    assert_eq!(
        source
            .discover(&world.ctx())
            .expect("discovers")
            .paths
            .len(),
        1
    );

    let (captured, point) = world.capture(source);
    assert_eq!(point.issues, []);
    let restored = world.restore(source, &point, &world.path(target));
    assert_green(&world.compare(source, &restored, &captured, &point));
    if let Some(expected) = &captured.manifest {
        let again = source
            .digest(&world.ctx(), &restored.place)
            .expect("digests")
            .expect("a manifest");
        assert_eq!(expected.differences(&again), []);
    }

    // Not over what is there.
    let again = source.restore(&world.ctx(), &point, &all_to(&restored.place));
    assert!(
        matches!(again, Err(CaptureError::Target { .. })),
        "existing data is not overwritten"
    );
    assert_green(&world.compare(source, &restored, &captured, &point));

    // Captured once more, nothing has changed.
    let (later, second) = world.capture(source);
    assert_eq!(
        captured.manifest.map(|m| m.entries),
        later.manifest.as_ref().map(|m| m.entries.clone())
    );
    assert!(later.content_time >= captured.content_time);

    // A copy that is damaged becomes a point of its own, which is sound and wrong.
    let spoiled = source.spoil(&world.ctx(), &restored).expect("spoils");
    let rungs = world.compare(source, &restored, &later, &second);
    assert_first_red(&rungs, &spoiled.damage.must_redden);
    let copy = vouchsafe_sources::open_copy(
        &parsed,
        &Settings::below(Path::new("/nowhere")),
        &restored.place,
    )
    .expect("opens");
    let (_, wrong) = world.capture(copy.as_ref());
    let names = |p: &super::Point| {
        p.paths()
            .iter()
            .filter_map(|p| p.split('/').nth(1).map(str::to_owned))
            .next()
    };
    assert_eq!(
        names(&wrong),
        names(&point),
        "a copy is captured under the original's name"
    );
    let twin = world.restore(source, &wrong, &world.path(&format!("{target}-twin")));
    if later.manifest.is_some() {
        assert_first_red(
            &world.compare(source, &twin, &later, &wrong),
            &spoiled.damage.must_redden,
        );
    } else {
        assert_first_red(
            &world.compare(source, &twin, &later, &second),
            &spoiled.damage.must_redden,
        );
    }

    // The original is never touched.
    let (last, _) = world.capture(source);
    assert_eq!(
        last.manifest.map(|m| m.entries),
        later.manifest.map(|m| m.entries)
    );

    world.interrupt.raise();
    let stopped = source.capture(&world.ctx(), &mut Memory::default());
    assert!(
        matches!(stopped, Err(CaptureError::Interrupted)),
        "a capture can be interrupted"
    );
    let stopped = source.restore(&world.ctx(), &point, &all_to(&world.path("interrupted")));
    assert!(
        matches!(stopped, Err(CaptureError::Interrupted)),
        "a restore can be interrupted"
    );
}
