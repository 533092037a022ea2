import DriverKit
import EngineTesting
import Glibc
import LinuxHost
import Model
import OverlayStorage
import Testing

@Suite(.enabled(if: isRoot, "needs root: owners, trusted attributes, mounts"))
struct FolderPoolTests {
    @Test(arguments: StoragePoolConformance.cases + [StoragePoolConformance.disks])
    func keepsThePromises(_ promise: StoragePoolConformance.Case) async throws {
        try await Store.with { store in
            let layers = try await store.storage.stack([try await store.unpacked(files: ["a": "1"])])
            let fixture = StoragePoolConformance.Fixture(
                pool: store.pool, other: try FolderPool(path: "\(store.path)/other"), layers: layers
            ) { try FolderPool(path: store.state, layers: store.storage) }
            try await promise.check(fixture)
        }
    }

    @Test(arguments: StoragePoolConformance.cases)
    func theOneForTestsKeepsThemToo(_ promise: StoragePoolConformance.Case) async throws {
        try await Store.with { store in
            let pool = FakePool(folder: "\(store.path)/fake")
            let fixture = StoragePoolConformance.Fixture(
                pool: pool, other: FakePool(folder: "\(store.path)/other"),
                layers: LayerStack(directory: store.path, paths: ["empty"])
            ) { FakePool(folder: "\(store.path)/fake") }
            try await promise.check(fixture)
        }
    }

    /// What find(1) and cat(1) see in the mounted root.
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
                "sh",
                options, "\(store.path)/merged",
            ]
        ).outputText
    }

    @Test func aMountedRootShowsItsFrozenParts() async throws {
        try await Store.with { store in
            let layer = try await store.unpacked(files: ["etc/keep": "1", "etc/gone": "2", "old/file": "3"])
            let layers = try await store.storage.stack([layer])
            let id = InstanceID.random()
            _ = try await look(
                store, try await store.pool.prepare(id, over: layers),
                "rm etc/gone; rm -r old; mkdir old; echo new > old/new; ln old/new hard; chmod 751 ."
            )
            let (snapshot, copy) = (InstanceID.random(), InstanceID.random())
            try await store.pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: false)
            #expect(try store.names("state/instances/\(id.raw)/upper").isEmpty)
            let seen = try await look(
                store, try await store.pool.root(id, over: layers),
                "find . | sort | tr '\\n' ' '; stat -c ' %a %h' . hard")
            #expect(seen.hasPrefix(". ./etc ./etc/keep ./hard ./old ./old/new"), "\(seen)")
            #expect(seen.contains(" 751 ") && seen.hasSuffix(" 644 2\n"), "\(seen)")
            try await store.pool.clone(.snapshot(snapshot), to: .instance(copy), isBusy: false)
            _ = try await look(store, try await store.pool.root(copy, over: layers), "rm -r old; echo 5 > etc/keep")
            try await store.pool.clone(.instance(copy), to: .snapshot(.random()), isBusy: true)
            #expect(
                try await look(store, try await store.pool.root(copy, over: layers), "cat etc/keep; ls")
                    == "5\netc\nhard\n")
            #expect(try await look(store, try await store.pool.root(id, over: layers), "cat old/new") == "new\n")
        }
    }

    @Test func partsGoWithTheLastThatNeedsThem() async throws {
        try await Store.with { store in
            let layers = try await store.storage.stack([])
            let (id, snapshot, copy) = (InstanceID.random(), InstanceID.random(), InstanceID.random())
            let root = try await store.pool.prepare(id, over: layers)
            try RootDirectory(path: root.instanceDirectory).writeFile("upper/data", [1, 2, 3], durable: false)
            try await store.pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: false)
            try await store.pool.clone(.instance(id), to: .instance(copy), isBusy: false)
            #expect(try store.names("state/frozen").count == 1, "an unchanged root was frozen again")
            try await store.pool.discard(.instance(id))
            try await store.pool.discard(.snapshot(snapshot))
            #expect(try store.names("state/frozen").count == 1)
            try await store.pool.discard(.instance(copy))
            await store.storage.drain()
            #expect(try store.names("state/frozen").isEmpty)
            #expect(try store.names("state/trash").isEmpty)
        }
    }

    @Test func aCrashInAFreezeIsMended() async throws {
        for step in 0..<4 {
            try await Store.with { store in
                let layers = try await store.storage.stack([])
                let id = InstanceID.random()
                let root = try await store.pool.prepare(id, over: layers)
                let own = try RootDirectory(path: root.instanceDirectory)
                try own.writeFile("upper/data", [7], durable: false)
                // As `freeze` goes, cut short after each step.
                let part = "0123456789abcdef"
                try own.makeSymbolicLink("stack.next", target: part)
                if step > 0 { try store.root.makeDirectory("state/frozen/\(part)") }
                if step > 1 { try own.rename("upper", to: "fs", in: store.root.subdirectory("state/frozen/\(part)")) }
                if step > 2 { try own.makeDirectory("upper") }
                let again = try FolderPool(path: store.state, layers: store.storage)
                try await again.recover()
                let mended = try await again.root(id, over: layers)
                let places =
                    ["\(mended.instanceDirectory)/upper"]
                    + mended.frozen.map { "\(mended.frozenDirectory ?? "")/\($0)" }
                #expect(places.filter { access("\($0)/data", F_OK) == 0 }.count == 1, "step \(step): \(mended)")
                await store.storage.drain()
                #expect(try store.names("state/frozen").count == mended.frozen.count, "step \(step)")
                #expect(try !own.exists("stack.next"))
            }
        }
    }

    @Test(.enabled(if: access("/usr/bin/qemu-img", X_OK) == 0, "needs qemu-img"))
    func disksOfMachinesAreCopiedAndComeBack() async throws {
        try await Store.with { store in
            let (id, snapshot, copy) = (InstanceID.random(), InstanceID.random(), InstanceID.random())
            let folder = try await store.pool.diskFolder(id)
            try await ProcessRunner.check("qemu-img", ["create", "-q", "-f", "raw", "\(folder)/base.raw", "1M"])
            try await ProcessRunner.check(
                "qemu-img",
                ["create", "-q", "-f", "qcow2", "-F", "raw", "-b", "\(folder)/base.raw", "\(folder)/disk.qcow2"])
            let own = try RootDirectory(path: folder)
            try own.writeFile("uefi-vars.fd", [1], durable: false)
            let before = try own.readFile("disk.qcow2")
            try await store.pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: false)
            try own.writeFile("disk.qcow2", [9], durable: false)
            try own.writeFile("uefi-vars.fd", [2], durable: false)
            try await store.pool.restore(id, from: snapshot)
            #expect(try own.readFile("disk.qcow2").count == before.count)
            #expect(try own.readFile("uefi-vars.fd") == [1])
            try await store.pool.clone(.snapshot(snapshot), to: .instance(copy), isBusy: false)
            try await store.pool.discard(.instance(id))
            let disk = "\(try await store.pool.diskFolder(copy))/disk.qcow2"
            // Needs the base where the copy says that it is.
            try await ProcessRunner.check("qemu-img", ["check", "-q", "-f", "qcow2", disk])
            try await ProcessRunner.check("qemu-img", ["resize", "-q", "-f", "qcow2", disk, "4M"])
        }
    }

    @Test func twoGibibytesAreFrozenWithoutCopying() async throws {
        try await Store.with { store in
            let layers = try await store.storage.stack([])
            let id = InstanceID.random()
            let root = try await store.pool.prepare(id, over: layers)
            // Allocated, though never written: as large to a copy, and quicker to make.
            let path = "\(root.instanceDirectory)/upper/big"
            let file = OwnedDescriptor(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600))
            try #require(posix_fallocate(file.raw, 0, 2 << 30) == 0)
            let clock = ContinuousClock()
            let took = try await clock.measure {
                try await store.pool.clone(.instance(id), to: .snapshot(.random()), isBusy: false)
                try await store.pool.clone(.instance(id), to: .instance(.random()), isBusy: false)
            }
            // Copying two gibibytes twice takes longer on any disk.
            #expect(took < .seconds(3), "a snapshot and a copy took \(took)")
        }
    }
}
