import Archive
import DriverKit
import EngineTesting
import Glibc
import LinuxHost
import Model
import OverlayStorage
import Testing

@Suite(.enabled(if: isRoot, "needs root: owners, trusted attributes, mounts"))
struct OverlayStorageTests {
    @Test(arguments: SnapshotterConformance.cases)
    func keepsThePromises(_ promise: SnapshotterConformance.Case) async throws {
        try await Store.with { store in
            let fixture = SnapshotterConformance.Fixture(snapshotter: store.storage) { try store.layer(files: $0) }
            try await promise.check(fixture)
        }
    }

    @Test(arguments: SnapshotterConformance.cases)
    func theOneForTestsKeepsThemToo(_ promise: SnapshotterConformance.Case) async throws {
        try await Store.with { store in
            let fixture = SnapshotterConformance.Fixture(snapshotter: MemorySnapshotter()) {
                try store.layer(files: $0)
            }
            try await promise.check(fixture)
        }
    }

    @Test func aFullDiskLeavesNothing() async throws {
        try await Store.with { store in
            // A filesystem of one mebibyte under the store.
            try store.root.makeDirectory("small")
            let small = "\(store.path)/small"
            try await ProcessRunner.check("mount", ["-t", "tmpfs", "-o", "size=1m", "isle-test", small])
            var failure: (any Error)?
            do {
                let storage = try OverlayStorage(stateDirectory: small)
                let layer = try store.layer { tar in
                    try tar.add(TarEntry(.file, path: "big"), content: [UInt8](repeating: 1, count: 4 << 20))
                }
                let error = await #expect(throws: EngineError.self) {
                    try await storage.unpack(layer: layer.digest, archive: layer.archive)
                }
                #expect(error?.code == .resourceExhausted)
                await storage.drain()
                #expect(try store.names("small/layers") == ["empty", "l"])
                // There is room again.
                let little = try store.layer(files: ["a": "1"])
                try await storage.unpack(layer: little.digest, archive: little.archive)
                #expect(try await storage.contains(layer: little.digest))
            } catch { failure = error }
            try await ProcessRunner.check("umount", ["-l", small])
            if let failure { throw failure }
        }
    }

    @Test func sizesAreThoseOfDu() async throws {
        try await Store.with { store in
            let layer = try store.layer { tar in
                try tar.add(
                    TarEntry(.file, path: "big"), content: [UInt8](repeating: 1, count: 1_000_000))
                try tar.add(TarEntry(.hardLink, path: "second", linkTarget: "big"))
                try tar.add(TarEntry(.directory, path: "d", permissions: 0o755))
                try tar.add(TarEntry(.file, path: "d/small"), content: [1])
            }
            try await store.storage.unpack(layer: layer.digest, archive: layer.archive)
            let digits = String(layer.digest.dropFirst(7))
            let du = try await ProcessRunner.check("/usr/bin/du", ["-s", "-B1", "\(store.state)/layers/\(digits)/fs"])
            let counted = try #require(Int64(du.outputText.prefix { $0 != "\t" }))
            let own = try #require(try await store.storage.layers()[layer.digest])
            // The folder around it and nothing else comes on top.
            #expect((counted...counted + 8192).contains(own))

            let id = InstanceID.random()
            let root = try await store.prepare(id, layers: [layer.digest])
            let upper = try RootDirectory(path: root.instanceDirectory).subdirectory("upper")
            try upper.writeFile("data", [UInt8](repeating: 2, count: 300_000), durable: true)
            let after = try await ProcessRunner.check("/usr/bin/du", ["-s", "-B1", "\(root.instanceDirectory)/upper"])
            #expect(try await store.pool.usage(.instance(id)) == Int64(after.outputText.prefix { $0 != "\t" }))
        }
    }

    @Test func manyLayersFitIntoTheMountOptions() async throws {
        try await Store.with { store in
            var layers: [String] = []
            for index in 0..<200 { layers.append(try await store.unpacked(files: ["file\(index)": "\(index)"])) }
            let root = try await store.prepare(.random(), layers: layers)
            #expect(root.lower.count == 200)
            #expect(root.lower.joined(separator: ":").utf8.count < 3000)
            let options = "lowerdir=\(root.lower.joined(separator: ":"))"
            let script = """
                cd "$1" && mount -t overlay overlay -o "$2,upperdir=$3/upper,workdir=$3/work" "$4" &&
                cat "$4/file0" "$4/file199" && ls "$4" | wc -l && echo new > "$4/written"
                """
            try store.root.makeDirectory("merged")
            // The private mount namespace ends with the shell, and the mount with it.
            let result = try await ProcessRunner.check(
                "/usr/bin/unshare",
                [
                    "--mount", "/bin/sh", "-c", script, "sh", root.layersDirectory, options, root.instanceDirectory,
                    "\(store.path)/merged",
                ])
            #expect(result.outputText == "0199200\n")
            #expect(try store.names("state/instances/\(root.instanceDirectory.suffix(16))/upper") == ["written"])
        }
    }

    @Test func layersMergeAsTheirWhiteoutsSay() async throws {
        try await Store.with { store in
            let lower = try await store.unpacked(files: ["etc/keep": "1", "etc/gone": "2", "var/a": "3", "top": "4"])
            let upper = try await store.unpacked(files: [
                "etc/.wh.gone": "", "var/.wh..wh..opq": "", "var/b": "5", ".wh.top": "",
            ])
            let root = try await store.prepare(.random(), layers: [lower, upper])
            #expect(try await !store.storage.has(path: "/etc/gone", layer: upper))
            try store.root.makeDirectory("merged")
            let result = try await ProcessRunner.check(
                "/usr/bin/unshare",
                [
                    "--mount", "/bin/sh", "-c",
                    "cd \"$1\" && mount -t overlay overlay -o \"lowerdir=$2\" \"$3\" && cd \"$3\" && find . | sort",
                    "sh", root.layersDirectory, root.lower.joined(separator: ":"), "\(store.path)/merged",
                ])
            #expect(result.outputText.split(separator: "\n") == [".", "./etc", "./etc/keep", "./var", "./var/b"])
        }
    }

    @Test func theRootFolderLooksLikeTheTopmostLayers() async throws {
        try await Store.with { store in
            let layer = try store.layer { tar in
                try tar.add(TarEntry(.directory, path: "./", permissions: 0o751, user: 7, group: 8))
            }
            try await store.storage.unpack(layer: layer.digest, archive: layer.archive)
            let root = try await store.prepare(.random(), layers: [layer.digest])
            let status = try RootDirectory(path: root.instanceDirectory).status("upper")
            #expect(status?.permissions == 0o751)
            #expect(status?.user == 7)
            #expect(status?.group == 8)
        }
    }

    @Test func anImageWithoutLayersHasARootToo() async throws {
        try await Store.with { store in
            let root = try await store.prepare(.random(), layers: [])
            #expect(root.lower == ["empty/fs"])
            #expect(try RootDirectory(path: root.layersDirectory).list("empty/fs").isEmpty)
        }
    }

    @Test func whatACrashLeftIsRemoved() async throws {
        try await Store.with { store in
            let kept = try await store.unpacked(files: ["a": "1"])
            let digits = String(repeating: "3", count: 64)
            for folder in [
                "state/layers/.staging-1/fs/deep", "state/layers/\(digits)", "state/trash/old/x",
                "state/instances/0123456789abcdef/.upper",
            ] {
                try store.root.makeDirectories(folder)
            }
            try store.root.makeSymbolicLink("state/layers/l/dangling", target: "../gone/fs")
            let again = try OverlayStorage(stateDirectory: store.state)
            try await again.recover()
            try await FolderPool(path: store.state, layers: again).recover()
            await again.drain()
            let names = try store.names("state/layers")
            #expect(names == [String(kept.dropFirst(7)), "empty", "l"].sorted())
            #expect(try store.names("state/layers/l").count == 1)
            #expect(try store.names("state/trash").isEmpty)
            #expect(try store.names("state/instances/0123456789abcdef").isEmpty)
        }
    }

    @Test func nothingStaysOfALayerThatFails() async throws {
        try await Store.with(limits: ArchiveLimits(entries: 2)) { store in
            let layer = try store.layer(files: ["a": "1", "b": "2", "c": "3"])
            await #expect(throws: EngineError.self) {
                try await store.storage.unpack(layer: layer.digest, archive: layer.archive)
            }
            await store.storage.drain()
            #expect(try store.names("state/layers") == ["empty", "l"])
            #expect(try store.names("state/trash").isEmpty)
        }
    }

    @Test func otherFilesOfAnInstanceStay() async throws {
        try await Store.with { store in
            let id = InstanceID.random()
            _ = try await store.prepare(id, layers: [])
            try store.root.writeFile("state/instances/\(id.raw)/console.log", [1], durable: false)
            try await store.pool.discard(.instance(id))
            #expect(try store.names("state/instances/\(id.raw)") == ["console.log"])
        }
    }

    @Test func aCancelledUnpackLeavesNothing() async throws {
        try await Store.with { store in
            let layer = try store.layer { tar in
                for index in 0..<20_000 { try tar.add(TarEntry(.file, path: HostPath("f\(index)")), content: [1]) }
            }
            let task = Task { try await store.storage.unpack(layer: layer.digest, archive: layer.archive) }
            try await Task.sleep(for: .milliseconds(20))
            task.cancel()
            let result = await task.result
            await store.storage.drain()
            #expect(throws: (any Error).self) { try result.get() }
            #expect(try store.names("state/layers") == ["empty", "l"])
        }
    }
}

@Suite struct HostFoldersTests {
    @Test func removesAndMeasures() async throws {
        try await Store.with { store in
            try store.root.makeDirectories("x/y")
            try store.root.writeFile("x/y/z", [UInt8](repeating: 1, count: 10_000))
            let folders = HostFolders()
            #expect(try await folders.usage("\(store.path)/x") >= 10_000)
            try await folders.remove("\(store.path)/x")
            #expect(try store.names(".") == ["state"])
            try await folders.remove("\(store.path)/x")
            try await folders.remove("\(store.path)/no/such/folder")
        }
    }

    @Test(arguments: ["/", "", "relative/path", "/var", "/var/../etc"])
    func refusesPathsThatAreNotIsles(_ path: String) async throws {
        await #expect(throws: EngineError.self) { try await HostFolders().remove(path) }
    }

    @Test func aVolumeBeginsWithWhatTheImageHas() async throws {
        try await Store.with { store in
            let lower = try store.layer { tar in
                try tar.add(TarEntry(.directory, path: "srv", permissions: 0o750, user: 7, group: 8), content: [])
                try tar.add(
                    TarEntry(.file, path: "srv/old", permissions: 0o640, user: 1000, group: 1001), content: [1, 2, 3])
                try tar.add(TarEntry(.file, path: "srv/gone"), content: [1])
                try tar.add(TarEntry(.file, path: "file"), content: [1])
            }
            let upper = try store.layer { tar in
                try tar.add(TarEntry(.directory, path: "srv", permissions: 0o750, user: 7, group: 8), content: [])
                try tar.add(TarEntry(.file, path: "srv/.wh.gone"), content: [])
                try tar.add(TarEntry(.file, path: "srv/new"), content: [4])
                try tar.add(TarEntry(.symbolicLink, path: "link", linkTarget: "/srv"), content: [])
            }
            for layer in [lower, upper] { try await store.storage.unpack(layer: layer.digest, archive: layer.archive) }
            let layers = [lower.digest, upper.digest]
            try store.root.makeDirectories("staging")
            for name in ["volume", "untouched"] { try store.root.makeDirectories(name) }
            let staging = "\(store.path)/staging"
            #expect(
                try await store.storage.fill("\(store.path)/volume", from: "/link", layers: layers, staging: staging))
            #expect(try store.names("volume") == ["new", "old"])
            let folder = try #require(try store.root.status("volume"))
            #expect(folder.user == 7 && folder.group == 8 && folder.permissions == 0o750)
            let old = try #require(try store.root.status("volume/old"))
            #expect(old.user == 1000 && old.group == 1001 && old.permissions == 0o640 && old.size == 3)
            for path in ["/file", "/none", "/srv/none/x"] {
                #expect(
                    try await !store.storage.fill(
                        "\(store.path)/untouched", from: path, layers: layers, staging: staging))
            }
            #expect(try store.names("untouched").isEmpty && store.names("staging").isEmpty)
        }
    }
}
