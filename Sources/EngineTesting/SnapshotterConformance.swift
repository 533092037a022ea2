public import DriverKit
import Model

/// What every `Snapshotter` promises, as cases that throw `ConformanceFailure` where it is not kept.
public struct SnapshotterConformance: Sendable {
    /// A layer that a fixture made: the tar file and the digest of its uncompressed bytes.
    public struct Layer: Sendable {
        public var digest: String
        public var archive: String
        public init(digest: String, archive: String) {
            self.digest = digest
            self.archive = archive
        }
    }

    /// Makes what a case works on; a new store each time, in which nothing is.
    public struct Fixture: Sendable {
        public var snapshotter: any Snapshotter
        /// A tar of files with these contents by path.
        public var makeLayer: @Sendable (_ files: [String: String]) throws -> Layer
        public init(
            snapshotter: any Snapshotter, makeLayer: @escaping @Sendable (_ files: [String: String]) throws -> Layer
        ) {
            self.snapshotter = snapshotter
            self.makeLayer = makeLayer
        }
    }

    /// One promise.
    public struct Case: Sendable, CustomStringConvertible {
        public var description: String
        public var check: @Sendable (Fixture) async throws -> Void
    }

    public static let cases: [Case] = [
        Case(description: "a layer is there after unpack, and not before") { fixture in
            let layer = try fixture.makeLayer(["a": "1", "dir/b": "2"])
            try expect(await !fixture.snapshotter.contains(layer: layer.digest), "an unknown layer is contained")
            try await fixture.snapshotter.unpack(layer: layer.digest, archive: layer.archive)
            try expect(await fixture.snapshotter.contains(layer: layer.digest), "an unpacked layer is not contained")
            try expect(await fixture.snapshotter.has(path: "/dir/b", layer: layer.digest), "a file is missing")
            try expect(await !fixture.snapshotter.has(path: "/dir/c", layer: layer.digest), "a file is invented")
            try expect(await fixture.snapshotter.layers()[layer.digest] != nil, "the layer is not listed")
        },
        Case(description: "unpacking twice is unpacking once") { fixture in
            let layer = try fixture.makeLayer(["a": "1"])
            for _ in 0..<2 { try await fixture.snapshotter.unpack(layer: layer.digest, archive: layer.archive) }
            try expect(await fixture.snapshotter.layers().count == 1, "not one layer")
        },
        Case(description: "parallel unpacks of one layer all succeed") { fixture in
            let layer = try fixture.makeLayer(["a": String(repeating: "x", count: 100_000)])
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        try await fixture.snapshotter.unpack(layer: layer.digest, archive: layer.archive)
                    }
                }
                try await group.waitForAll()
            }
            try expect(await fixture.snapshotter.layers().count == 1, "not one layer")
        },
        Case(description: "another digest is refused and leaves nothing") { fixture in
            let layer = try fixture.makeLayer(["a": "1"])
            let other = "sha256:" + String(repeating: "0", count: 64)
            try await expectError(.invalidArgument) {
                try await fixture.snapshotter.unpack(layer: other, archive: layer.archive)
            }
            try expect(await !fixture.snapshotter.contains(layer: other), "a wrong layer is contained")
            try expect(await fixture.snapshotter.layers().isEmpty, "a wrong layer is listed")
        },
        Case(description: "a digest that is none is refused") { fixture in
            for digest in [
                "", "sha256:", "sha256:../../etc", "sha512:00", "sha256:" + String(repeating: "A", count: 64),
            ] {
                try await expectError(.invalidArgument) { _ = try await fixture.snapshotter.contains(layer: digest) }
                try await expectError(.invalidArgument) { try await fixture.snapshotter.remove(layer: digest) }
                try await expectError(.invalidArgument) {
                    try await fixture.snapshotter.unpack(layer: digest, archive: "/dev/null")
                }
            }
        },
        Case(description: "a missing archive is notFound") { fixture in
            let digest = "sha256:" + String(repeating: "1", count: 64)
            try await expectError(.notFound) {
                try await fixture.snapshotter.unpack(layer: digest, archive: "/nonexistent/isle-layer.tar")
            }
        },
        Case(description: "a removed layer is gone; removing again is no error") { fixture in
            let layer = try fixture.makeLayer(["a": "1"])
            try await fixture.snapshotter.unpack(layer: layer.digest, archive: layer.archive)
            for _ in 0..<2 { try await fixture.snapshotter.remove(layer: layer.digest) }
            try expect(await !fixture.snapshotter.contains(layer: layer.digest), "a removed layer is contained")
            try await fixture.snapshotter.unpack(layer: layer.digest, archive: layer.archive)
            try expect(await fixture.snapshotter.contains(layer: layer.digest), "the layer does not come back")
        },
        Case(description: "a stack names its layers, topmost first, each once, and needs them") { fixture in
            var digests: [String] = []
            for index in 0..<3 {
                let layer = try fixture.makeLayer(["file\(index)": "\(index)"])
                try await fixture.snapshotter.unpack(layer: layer.digest, archive: layer.archive)
                digests.append(layer.digest)
            }
            let stack = try await fixture.snapshotter.stack(digests + [digests[0]])
            try expect(Set(stack.paths).count == 3 && stack.paths.count == 3, "paths: \(stack.paths)")
            let plain = try await fixture.snapshotter.stack(digests)
            try expect(plain.paths.first == stack.paths[1], "the topmost layer is not first")
            try await expectError(.notFound) {
                _ = try await fixture.snapshotter.stack(["sha256:" + String(repeating: "2", count: 64)])
            }
        },
        Case(description: "recover keeps layers") { fixture in
            let layer = try fixture.makeLayer(["a": "1"])
            try await fixture.snapshotter.unpack(layer: layer.digest, archive: layer.archive)
            let stack = try await fixture.snapshotter.stack([layer.digest])
            try await fixture.snapshotter.recover()
            try expect(await fixture.snapshotter.contains(layer: layer.digest), "recover removed a layer")
            try expect(await fixture.snapshotter.stack([layer.digest]) == stack, "recover changed a stack")
        },
    ]
}

/// A promise that is not kept.
public struct ConformanceFailure: Error, CustomStringConvertible {
    public var description: String
}

func expect(_ condition: Bool, _ message: @autoclosure () -> String) throws {
    if !condition { throw ConformanceFailure(description: message()) }
}

func expectError(_ code: EngineError.Code, _ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as EngineError where error.code == code {
        return
    }
    throw ConformanceFailure(description: "no error where \(code) is due")
}
