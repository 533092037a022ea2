import DriverKit
import Glibc
import LinuxHost
import Model
import Testing

@testable import OverlayStorage

/// Frozen parts that are put together again show what they showed one over the other.
@Suite(.enabled(if: isRoot, "needs root: owners, trusted attributes, mounts"))
struct CondenseTests {
    /// What `script` says in the mounted root.
    private func look(_ store: Store, _ root: OverlayRoot, _ script: String) async throws -> String {
        try store.root.makeDirectories("merged")
        let lower =
            root.frozen.map { "\(root.frozenDirectory ?? "")/\($0)" }
            + root.lower.map { "\(root.layersDirectory)/\($0)" }
        let options =
            "lowerdir=\(lower.joined(separator: ":")),upperdir=\(root.instanceDirectory)/upper,"
            + "workdir=\(root.instanceDirectory)/work"
        return try await ProcessRunner.check(
            "/usr/bin/unshare",
            [
                "--mount", "/bin/sh", "-ec", "mount -t overlay overlay -o \"$1\" \"$2\" && cd \"$2\" && \(script)",
                "sh", options, "\(store.path)/merged",
            ]
        ).outputText
    }

    /// Names, modes, owners, contents and attributes, of folders the time too.
    private static let inventory =
        "find . -printf '%p %y %m %U:%G %l %TY%Tm%Td%TH%TM%TS\\n' | sort; find . -type f | sort | xargs -r sha256sum;"
        + " find . | sort | xargs -r getfattr -h -d -m '^user' 2>/dev/null"

    private static let steps = [
        "mkdir -p a/b/c; echo 1 > a/b/c/file; echo 2 > a/two; setfattr -n user.note -v x a; chown 5:6 a/b; chmod 2750 a/b",
        "rm etc/gone; echo changed > etc/keep; ln etc/keep etc/hard; ln -s keep etc/link",
        "rm -r old; mkdir old; echo new > old/new",
        "rm -r a/b; echo file > a/b",
        "rm a/b; mkdir a/b; echo again > a/b/again; touch -d 2001-02-03 a",
        "rm -r old; echo plain > old; mkfifo pipe",
        "rm old; mkdir -p old/deep/er; rm etc/hard; rm -r a/two; mkdir a/two; chmod 700 .",
        "mv etc/keep etc/moved; echo x > etc/gone; rm -r a/b",
    ]

    @Test func manyPartsBecomeFewAndShowTheSame() async throws {
        try await Store.with { store in
            let layer = try await store.unpacked(files: [
                "etc/keep": "1", "etc/gone": "2", "old/file": "3", "old/x": "4",
            ])
            let layers = try await store.storage.stack([layer])
            let (id, kept) = (InstanceID.random(), InstanceID.random())
            _ = try await store.pool.prepare(id, over: layers)
            for (index, step) in Self.steps.enumerated() {
                _ = try await look(store, try await store.pool.root(id, over: layers), step)
                let snapshot = index == 3 ? kept : .random()
                try await store.pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: false)
                if index != 3 { try await store.pool.discard(.snapshot(snapshot)) }
            }
            let old = try await store.pool.root(id, over: layers)
            #expect(old.frozen.count == Self.steps.count)
            let before = try await look(store, old, Self.inventory)
            try await store.pool.condense(.instance(id))
            let new = try await store.pool.root(id, over: layers)
            #expect(new.frozen.count == 2, "those that the snapshot lies over, and those above")
            #expect(try await look(store, new, Self.inventory) == before)
            // The snapshot shows what was there then.
            let copy = InstanceID.random()
            try await store.pool.clone(.snapshot(kept), to: .instance(copy), isBusy: false)
            #expect(
                try await look(
                    store, try await store.pool.root(copy, over: layers), "cat a/b a/two etc/keep old/new; ls etc")
                    == "file\n2\nchanged\nnew\nhard\nkeep\nlink\n")
            // The next daemon reads the same stacks and removes what was replaced.
            let again = try FolderPool(path: store.state, layers: store.storage)
            try await again.recover()
            await store.storage.drain()
            #expect(try store.names("state/frozen").count == 2)
            #expect(try await look(store, try await again.root(id, over: layers), Self.inventory) == before)
        }
    }

    @Test func whatAnotherInstanceLiesOverStays() async throws {
        try await Store.with { store in
            let layers = try await store.storage.stack([])
            let (id, copy) = (InstanceID.random(), InstanceID.random())
            let root = try await store.pool.prepare(id, over: layers)
            for number in 0..<4 {
                try RootDirectory(path: root.instanceDirectory).writeFile("upper/\(number)", [1], durable: false)
                try await store.pool.clone(.instance(id), to: .snapshot(.random()), isBusy: false)
                if number == 1 { try await store.pool.clone(.instance(id), to: .instance(copy), isBusy: false) }
            }
            let before = try await store.pool.root(copy, over: layers)
            try await store.pool.condense(.instance(id))
            let after = try await store.pool.root(copy, over: layers)
            #expect(after == before)
            for part in after.frozen { #expect(access("\(after.frozenDirectory ?? "")/\(part)", F_OK) == 0) }
        }
    }

    @Test func snapshotsAreNeverRefusedForTheirNumberInThePast() async throws {
        try await Store.with { store in
            let layers = try await store.storage.stack([])
            let id = InstanceID.random()
            let root = try await store.pool.prepare(id, over: layers)
            let own = try RootDirectory(path: root.instanceDirectory)
            for number in 0..<(FrozenStack.limit + 5) {
                try own.writeFile("upper/file-\(number)", [1], durable: false)
                let snapshot = InstanceID.random()
                try await store.pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: false)
                try await store.pool.discard(.snapshot(snapshot))
            }
            let end = try await store.pool.root(id, over: layers)
            #expect(end.frozen.count <= FolderPool.condensedAt)
            var names: Set<String> = []
            for part in end.frozen {
                names.formUnion(try RootDirectory(path: "\(end.frozenDirectory ?? "")/\(part)").list().map(\.name.text))
            }
            #expect(names.count == FrozenStack.limit + 5)
        }
    }

    @Test func whatReliesOnLowerPathsIsRefusedAndKept() async throws {
        try await Store.with { store in
            let layers = try await store.storage.stack([])
            let id = InstanceID.random()
            let root = try await store.pool.prepare(id, over: layers)
            let own = try RootDirectory(path: root.instanceDirectory)
            for number in 0..<2 {
                try own.makeDirectory("upper/\(number)")
                try own.setAttribute("upper/\(number)", "trusted.overlay.redirect", Array("other".utf8))
                try await store.pool.clone(.instance(id), to: .snapshot(.random()), isBusy: false)
                try await store.pool.discard(.snapshot(.random()))
            }
            let snapshots = try store.names("state/snapshots")
            for name in snapshots { try await store.pool.discard(.snapshot(#require(InstanceID(name)))) }
            let before = try await store.pool.root(id, over: layers)
            await #expect(throws: EngineError.self) { try await store.pool.condense(.instance(id)) }
            #expect(try await store.pool.root(id, over: layers) == before)
            await store.storage.drain()
            #expect(try store.names("state/frozen").count == 2)
        }
    }
}
