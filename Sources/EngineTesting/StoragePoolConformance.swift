public import DriverKit
import FoundationEssentials
import Model

/// What every `StoragePool` promises, as cases that throw `ConformanceFailure` where it is not kept.
public struct StoragePoolConformance: Sendable {
    /// Makes what a case works on: new pools, in which nothing is.
    public struct Fixture: Sendable {
        public var pool: any StoragePool
        /// Of the same kind, elsewhere.
        public var other: any StoragePool
        /// Layers of an image that are unpacked.
        public var layers: LayerStack
        /// A second look at `pool`, as after a crash of the daemon.
        public var again: @Sendable () async throws -> any StoragePool

        public init(
            pool: any StoragePool, other: any StoragePool, layers: LayerStack,
            again: @escaping @Sendable () async throws -> any StoragePool
        ) {
            self.pool = pool
            self.other = other
            self.layers = layers
            self.again = again
        }

        /// What the instance would read at `name` above its layers; nil: nothing.
        func read(_ id: InstanceID, _ name: String, in pool: (any StoragePool)? = nil) async throws -> String? {
            let root = try await (pool ?? self.pool).root(id, over: layers)
            let uppers = ["\(root.instanceDirectory)/\(root.upper)"]
            let frozen = root.frozen.map { "\(root.frozenDirectory ?? "")/\($0)" }
            for folder in uppers + frozen {
                if let data = FileManager.default.contents(atPath: "\(folder)/\(name)") {
                    return String(decoding: data, as: UTF8.self)
                }
            }
            return nil
        }

        /// Writes as the instance would.
        func write(_ id: InstanceID, _ name: String, _ text: String) async throws {
            let root = try await pool.root(id, over: layers)
            let path = "\(root.instanceDirectory)/\(root.upper)/\(name)"
            guard FileManager.default.createFile(atPath: path, contents: Data(text.utf8)) else {
                throw ConformanceFailure(description: "\(path) cannot be written")
            }
        }

        func instance(_ text: String) async throws -> InstanceID {
            let id = InstanceID.random()
            _ = try await pool.prepare(id, over: layers)
            try await write(id, "file", text)
            return id
        }
    }

    /// One promise.
    public struct Case: Sendable, CustomStringConvertible {
        public var description: String
        public var check: @Sendable (Fixture) async throws -> Void
    }

    public static let cases: [Case] = [
        Case(description: "a root is prepared once and found again") { fixture in
            let id = InstanceID.random()
            try await expectError(.notFound) { _ = try await fixture.pool.root(id, over: fixture.layers) }
            let root = try await fixture.pool.prepare(id, over: fixture.layers)
            try expect(root.lower == fixture.layers.paths, "the layers are others")
            try await expectError(.alreadyExists) { _ = try await fixture.pool.prepare(id, over: fixture.layers) }
            try expect(await fixture.pool.root(id, over: fixture.layers) == root, "root differs from prepare")
            let other = try await fixture.pool.prepare(.random(), over: fixture.layers)
            try expect(other.instanceDirectory != root.instanceDirectory, "two instances share a folder")
        },
        Case(description: "a discarded root is gone; discarding again is no error") { fixture in
            let id = try await fixture.instance("1")
            try expect(await fixture.pool.usage(.instance(id)) > 0, "nothing is used")
            for _ in 0..<2 { try await fixture.pool.discard(.instance(id)) }
            try await expectError(.notFound) { _ = try await fixture.pool.root(id, over: fixture.layers) }
            try await expectError(.notFound) { _ = try await fixture.pool.usage(.instance(id)) }
            _ = try await fixture.pool.prepare(id, over: fixture.layers)
        },
        Case(description: "a snapshot is what the instance was, busy or not") { fixture in
            for isBusy in [false, true] {
                let (id, snapshot) = (try await fixture.instance("before"), InstanceID.random())
                try await fixture.pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: isBusy)
                try expect(await fixture.read(id, "file") == "before", "the instance changed")
                try await fixture.write(id, "file", "after")
                try await fixture.write(id, "more", "1")
                try await fixture.pool.restore(id, from: snapshot)
                try expect(await fixture.read(id, "file") == "before", "the snapshot changed")
                try expect(await fixture.read(id, "more") == nil, "what came later is still there")
                try await fixture.write(id, "file", "again")
                for _ in 0..<2 { try await fixture.pool.restore(id, from: snapshot) }
                try expect(await fixture.read(id, "file") == "before", "a second restore differs")
            }
        },
        Case(description: "copies go their own ways") { fixture in
            let (id, copy, second) = (try await fixture.instance("1"), InstanceID.random(), InstanceID.random())
            let snapshot = InstanceID.random()
            try await fixture.pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: false)
            try await fixture.pool.clone(.instance(id), to: .instance(copy), isBusy: false)
            try await fixture.pool.clone(.snapshot(snapshot), to: .instance(second), isBusy: false)
            try await fixture.write(copy, "file", "2")
            try expect(await fixture.read(id, "file") == "1", "the source changed")
            try expect(await fixture.read(second, "file") == "1", "the second copy changed")
            try await fixture.pool.discard(.instance(id))
            try await fixture.pool.discard(.snapshot(snapshot))
            try expect(await fixture.read(copy, "file") == "2", "a copy went with its source")
            try expect(await fixture.read(second, "file") == "1", "a copy went with its snapshot")
        },
        Case(description: "names are taken once, and sources must be there") { fixture in
            let (id, snapshot) = (try await fixture.instance("1"), InstanceID.random())
            try await fixture.pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: false)
            try await expectError(.alreadyExists) {
                try await fixture.pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: false)
            }
            let other = try await fixture.instance("2")
            try await expectError(.alreadyExists) {
                try await fixture.pool.clone(.snapshot(snapshot), to: .instance(other), isBusy: false)
            }
            try expect(await fixture.read(other, "file") == "2", "a refused copy changed something")
            try await expectError(.notFound) {
                try await fixture.pool.clone(.instance(.random()), to: .snapshot(.random()), isBusy: false)
            }
            try await expectError(.notFound) { try await fixture.pool.restore(id, from: .random()) }
            try expect(await fixture.read(id, "file") == "1", "a refused restore changed something")
        },
        Case(description: "many snapshots each keep their time") { fixture in
            let id = try await fixture.instance("0")
            var snapshots: [InstanceID] = []
            for index in 0..<12 {
                try await fixture.write(id, "file", "\(index)")
                snapshots.append(.random())
                try await fixture.pool.clone(.instance(id), to: .snapshot(snapshots[index]), isBusy: index % 3 == 2)
            }
            for index in [3, 11, 0, 7] {
                try await fixture.pool.restore(id, from: snapshots[index])
                try expect(await fixture.read(id, "file") == "\(index)", "snapshot \(index) is wrong")
            }
            for snapshot in snapshots { try await fixture.pool.discard(.snapshot(snapshot)) }
            try expect(await fixture.read(id, "file") == "7", "the instance changed when its snapshots went")
        },
        Case(description: "another pool takes over roots by copying them") { fixture in
            let (id, snapshot) = (try await fixture.instance("then"), InstanceID.random())
            try await fixture.pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: false)
            try await fixture.write(id, "file", "now")
            try await fixture.other.adopt(
                [(.snapshot(snapshot), .snapshot(snapshot)), (.instance(id), .instance(id))], from: fixture.pool)
            try await fixture.pool.discard(.instance(id))
            try await fixture.pool.discard(.snapshot(snapshot))
            try expect(await fixture.read(id, "file", in: fixture.other) == "now", "the copy is wrong")
            try await fixture.other.restore(id, from: snapshot)
            try expect(await fixture.read(id, "file", in: fixture.other) == "then", "the copied snapshot is wrong")
        },
        Case(description: "recover keeps roots and snapshots") { fixture in
            let (id, snapshot) = (try await fixture.instance("1"), InstanceID.random())
            try await fixture.pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: false)
            try await fixture.write(id, "file", "2")
            let again = try await fixture.again()
            try await again.recover()
            try expect(await fixture.read(id, "file", in: again) == "2", "recover changed a root")
            try await again.restore(id, from: snapshot)
            try expect(await fixture.read(id, "file", in: again) == "1", "recover lost a snapshot")
        },
    ]

    /// Of pools that keep disks of machines too.
    public static let disks = Case(description: "what lies beside a disk goes where the disk goes") { fixture in
        try await checkDisks(fixture)
    }

    private static func checkDisks(_ fixture: Fixture) async throws {
        let (id, snapshot, copy) = (InstanceID.random(), InstanceID.random(), InstanceID.random())
        let folder = try await fixture.pool.diskFolder(id)
        func write(_ text: String) throws {
            try Data(text.utf8).write(to: URL(filePath: "\(folder)/uefi-vars.fd"))
            try Data(text.utf8).write(to: URL(filePath: "\(folder)/tpm/tpm0/state"))
        }
        try FileManager.default.createDirectory(atPath: "\(folder)/tpm/tpm0", withIntermediateDirectories: true)
        try Data("disk".utf8).write(to: URL(filePath: "\(folder)/disk.qcow2"))
        try write("then")
        func check(_ root: RootName, _ text: String, in pool: any StoragePool) async throws {
            let found = try await pool.files(of: root).companions
            try expect(found.map { $0.hasSuffix("/tpm") } == [false, true], "\(root) has \(found)")
            for path in [found[0], found[1] + "/tpm0/state"] {
                let bytes = FileManager.default.contents(atPath: path) ?? Data()
                try expect(String(decoding: bytes, as: UTF8.self) == text, "\(path) is not as it should be")
            }
        }
        try await fixture.pool.clone(.instance(id), to: .snapshot(snapshot), isBusy: false)
        try await fixture.pool.clone(.instance(id), to: .instance(copy), isBusy: false)
        try write("now")
        try await check(.snapshot(snapshot), "then", in: fixture.pool)
        try await check(.instance(copy), "then", in: fixture.pool)
        try await fixture.other.adopt([(.instance(id), .instance(id))], from: fixture.pool)
        try await check(.instance(id), "now", in: fixture.other)
        try await fixture.pool.restore(id, from: snapshot)
        try await check(.instance(id), "then", in: fixture.pool)
        try await fixture.pool.discard(.instance(id))
        try expect(!FileManager.default.fileExists(atPath: folder), "something stays in \(folder)")
    }
}
