import Synchronization
import Testing

@testable import Model

@Suite struct KeyedLockTests {
    /// What happened, in order.
    final class Journal: Sendable {
        private let entries = Mutex<[Int]>([])
        func add(_ entry: Int) { entries.withLock { $0.append(entry) } }
        var all: [Int] { entries.withLock { $0 } }
    }

    /// How many were inside at once.
    final class Counter: Sendable {
        private let state = Mutex((inside: 0, most: 0))
        func enter() {
            state.withLock {
                $0.inside += 1
                $0.most = max($0.most, $0.inside)
            }
        }
        func leave() { state.withLock { $0.inside -= 1 } }
        var most: Int { state.withLock { $0.most } }
    }

    /// Holds the lock of a key until it is opened.
    struct Gate: Sendable {
        let stream: AsyncStream<Void>
        let continuation: AsyncStream<Void>.Continuation
        init() { (stream, continuation) = AsyncStream.makeStream() }
        func wait() async { for await _ in stream {} }
        func open() { continuation.finish() }
    }

    private func hold(_ lock: KeyedLock<String>, _ key: String, _ gate: Gate) async -> Task<Void, any Error> {
        let held = Gate()
        let holder = Task {
            try await lock.withLock(key) {
                held.open()
                await gate.wait()
            }
        }
        await held.wait()
        return holder
    }

    @Test func whoComesFirstIsServedFirst() async throws {
        let lock = KeyedLock<String>()
        let (gate, journal) = (Gate(), Journal())
        let holder = await hold(lock, "a", gate)
        var waiters: [Task<Void, any Error>] = []
        for number in 0..<10 {
            waiters.append(Task { try await lock.withLock("a") { journal.add(number) } })
            try await Task.sleep(for: .milliseconds(5))
        }
        #expect(journal.all.isEmpty)
        gate.open()
        for waiter in waiters { try await waiter.value }
        try await holder.value
        #expect(journal.all == Array(0..<10))
    }

    @Test func otherKeysAreFree() async throws {
        let lock = KeyedLock<String>()
        let gate = Gate()
        let holder = await hold(lock, "a", gate)
        let answer = try await lock.withLock("b") { 42 }
        #expect(answer == 42)
        gate.open()
        try await holder.value
    }

    @Test func oneAtATime() async throws {
        let lock = KeyedLock<Int>()
        let counter = Counter()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<100 {
                group.addTask {
                    try await lock.withLock(1) {
                        counter.enter()
                        await Task.yield()
                        counter.leave()
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(counter.most == 1)
    }

    @Test func aCancelledWaiterLeavesTheQueue() async throws {
        let lock = KeyedLock<String>()
        let (gate, journal) = (Gate(), Journal())
        let holder = await hold(lock, "a", gate)
        let first = Task { try await lock.withLock("a") { journal.add(1) } }
        try await Task.sleep(for: .milliseconds(5))
        let second = Task { try await lock.withLock("a") { journal.add(2) } }
        try await Task.sleep(for: .milliseconds(5))
        first.cancel()
        await #expect(throws: CancellationError.self) { try await first.value }
        gate.open()
        try await second.value
        try await holder.value
        #expect(journal.all == [2])
    }

    @Test func manyCancellationsLoseNoLock() async throws {
        let lock = KeyedLock<Int>()
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<200 {
                group.addTask {
                    let task = Task { try await lock.withLock(1) { await Task.yield() } }
                    if number % 2 == 0 { task.cancel() }
                    _ = await task.result
                }
            }
        }
        #expect(try await lock.withLock(1) { true })
    }

    @Test func anErrorFreesTheLock() async throws {
        let lock = KeyedLock<Int>()
        await #expect(throws: EngineError.self) {
            try await lock.withLock(1) { throw EngineError(.internal, "inside") }
        }
        #expect(try await lock.withLock(1) { true })
    }
}
