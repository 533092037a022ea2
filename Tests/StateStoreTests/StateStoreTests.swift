import Foundation
import GRDB
import Glibc
import Model
import Testing

@testable import StateStore

/// A folder for one database, removed with it.
final class DatabaseFolder: Sendable {
    let path: String

    init() throws {
        var template = Array("/tmp/isle-store-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw EngineError(.internal, "mkdtemp: errno \(errno)") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    var database: String { path + "/isle.db" }

    /// Changes the database behind the store's back.
    func run(_ sql: String) throws {
        let queue = try DatabaseQueue(path: database)
        try queue.write { db in try db.execute(sql: sql) }
        try queue.close()
    }

    /// Moves the write-ahead log into the file, which then is all there is.
    func mergeLog() throws {
        let queue = try DatabaseQueue(path: database)
        try queue.writeWithoutTransaction { db in try db.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
        try queue.close()
        for suffix in ["-wal", "-shm"] { unlink(database + suffix) }
    }

    func bytes() throws -> Data { try Data(contentsOf: URL(fileURLWithPath: database)) }
}

func instance(_ name: String, id: InstanceID = .random(), project: String = "default") -> InstanceRecord {
    InstanceRecord(
        id: id, project: project, name: name, kind: .application, architecture: "x86_64",
        config: ["user.text": "ü \" \\ \u{1}"], createdAt: 1.5)
}

/// The code of the error that `body` throws; nil if it throws none of the engine's.
func code(_ body: () async throws -> Void) async -> EngineError.Code? {
    do { try await body() } catch { return (error as? EngineError)?.code }
    return nil
}

@Suite struct StateStoreTests {
    let folder: DatabaseFolder

    init() throws { folder = try DatabaseFolder() }

    @Test func recordsOutliveTheDaemon() async throws {
        let first = try StateStore(path: folder.database)
        let record = instance("web")
        try await first.insert(record)
        try await first.set("a", "1")
        try await first.set("a", "2")
        try first.close()
        let second = try StateStore(path: folder.database)
        let found = try await second.instances()
        #expect(found.unreadable.isEmpty)
        #expect(found.records.map(\.id) == [record.id])
        #expect(found.records.first?.config == record.config)
        #expect(try await second.setting("a") == "2")
        #expect(try await second.setting("b") == nil)
        try second.close()
    }

    @Test(arguments: [true, false]) func aKilledDaemonLosesNothing(withSharedMemory: Bool) async throws {
        let store = try StateStore(path: folder.database)
        let record = instance("web")
        try await store.insert(record)
        let copy = try DatabaseFolder()
        for suffix in withSharedMemory ? ["", "-wal", "-shm"] : ["", "-wal"] {
            try FileManager.default.copyItem(atPath: folder.database + suffix, toPath: copy.database + suffix)
        }
        let next = try StateStore(path: copy.database)
        #expect(try await next.instances().records.map(\.id) == [record.id])
        try next.close()
        try store.close()
    }

    @Test func aNewerDatabaseIsRefusedAndLeft() async throws {
        try StateStore(path: folder.database).close()
        try folder.run("INSERT INTO grdb_migrations VALUES ('99 of a later version')")
        let before = try folder.bytes()
        let error = #expect(throws: EngineError.self) { try StateStore(path: folder.database) }
        #expect(error?.code == .unsupported)
        #expect(error?.message.contains(folder.database) == true)
        #expect(try folder.bytes() == before)
    }

    @Test func whatIsNoDatabaseIsRefusedAndLeft() throws {
        let garbage = Data(repeating: 0x61, count: 10_000)
        try garbage.write(to: URL(fileURLWithPath: folder.database))
        let error = #expect(throws: EngineError.self) { try StateStore(path: folder.database) }
        #expect(error?.code == .internal)
        #expect(error?.message.contains(folder.database) == true)
        #expect(try folder.bytes() == garbage)
    }

    @Test func aDamagedDatabaseIsRefusedAndLeft() async throws {
        let store = try StateStore(path: folder.database)
        for number in 0..<200 { try await store.insert(instance("i\(number)")) }
        try store.close()
        try folder.mergeLog()
        var bytes = try folder.bytes()
        try #require(bytes.count > 8 * 4096)
        // Every page but the first two, which hold the header and the list of tables.
        for index in stride(from: 4 * 4096, to: bytes.count, by: 7) { bytes[index] = 0xa5 }
        try bytes.write(to: URL(fileURLWithPath: folder.database))
        let error = #expect(throws: EngineError.self) { try StateStore(path: folder.database) }
        #expect(error?.code == .internal)
        #expect(error?.message.contains(folder.database) == true)
        #expect(try folder.bytes() == bytes)
    }

    @Test func aFolderThatIsNotThereIsNamed() {
        let path = folder.path + "/missing/isle.db"
        let error = #expect(throws: EngineError.self) { try StateStore(path: path) }
        #expect(error?.message.contains(path) == true)
    }

    @Test func anUnreadableRecordIsKeptAndTold() async throws {
        let store = try StateStore(path: folder.database)
        let (good, bad) = (instance("good"), instance("bad"))
        try await store.insert(good)
        try await store.insert(bad)
        try folder.run("UPDATE instance SET document = '{\"id\":7}' WHERE name = 'bad'")
        let found = try await store.instances()
        #expect(found.records.map(\.name) == ["good"])
        #expect(found.unreadable == [bad.id.raw])
        await #expect(throws: EngineError.self) { try await store.insert(instance("bad")) }
        #expect(try await store.instances().unreadable == [bad.id.raw])
        try store.close()
    }

    @Test func ofManyOfOneNameOneIsStored() async throws {
        let store = try StateStore(path: folder.database)
        let codes = await withTaskGroup(of: EngineError.Code?.self) { group in
            for _ in 0..<20 {
                group.addTask {
                    do { try await store.insert(instance("web")) } catch { return (error as? EngineError)?.code }
                    return nil
                }
            }
            return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(codes.count { $0 == nil } == 1)
        #expect(codes.count { $0 == .alreadyExists } == 19)
        try await store.insert(instance("web", project: "other"))
        try store.close()
    }

    @Test func changingARecord() async throws {
        let store = try StateStore(path: folder.database)
        var (one, two) = (instance("one"), instance("two"))
        try await store.insert(one)
        try await store.insert(two)
        one.name = "two"
        #expect(await code { try await store.update(one) } == .alreadyExists)
        one.name = "three"
        try await store.update(one)
        #expect(try await store.instances().records.map(\.name) == ["three", "two"])
        try await store.deleteInstance(two.id)
        try await store.deleteInstance(two.id)
        two.name = "four"
        #expect(await code { try await store.update(two) } == .notFound)
        try store.close()
    }

    @Test func journalEntriesStayUntilTheyAreFinished() async throws {
        let store = try StateStore(path: folder.database)
        let id = InstanceID.random()
        let first = try await store.begin(id, step: "create", detail: "x")
        let second = try await store.begin(id, step: "start")
        #expect(try await store.unfinished().map(\.sequence) == [second, first])
        try await store.finish(second)
        try await store.finish(second)
        let left = JournalEntry(sequence: first, instance: id.raw, step: "create", detail: "x")
        #expect(try await store.unfinished() == [left])
        try store.close()
    }
}
