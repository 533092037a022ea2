import Model
import Synchronization
import Testing

@testable import Engine

@Suite struct OperationTests {
    /// Work that ends when it is told to, or is cancelled.
    private struct Gate: Sendable {
        let stream: AsyncStream<Void>
        let continuation: AsyncStream<Void>.Continuation
        init() { (stream, continuation) = AsyncStream.makeStream() }
        func wait() async throws {
            for await _ in stream {}
            try Task.checkCancellation()
        }
        func open() { continuation.finish() }
    }

    private func start(_ service: OperationService, _ gate: Gate, mayCancel: Bool = false) async -> OperationRecord {
        await service.start("work", mayCancel: mayCancel) { _ in
            try await gate.wait()
            return ["answer": 42]
        }
    }

    @Test func aWaitEndsWithItsTimeoutAndTheWorkGoesOn() async throws {
        let service = OperationService(events: EventBus())
        let gate = Gate()
        let id = await start(service, gate).id
        #expect(try await service.wait(id, timeout: .milliseconds(20)).status == .running)
        #expect(try await service.wait(id, timeout: .zero).status == .running)
        gate.open()
        let record = try await service.wait(id)
        #expect(record.status == .success)
        #expect(record.metadata["answer"] == 42)
        #expect(try await service.wait(id, timeout: .zero).status == .success)
    }

    @Test func manyWaitersAllLearnTheEnd() async throws {
        let service = OperationService(events: EventBus())
        let gate = Gate()
        let id = await start(service, gate).id
        try await withThrowingTaskGroup(of: OperationRecord.Status.self) { group in
            for number in 0..<50 {
                group.addTask {
                    if number % 2 == 0 { _ = try await service.wait(id, timeout: .milliseconds(number)) }
                    return try await service.wait(id).status
                }
            }
            try await Task.sleep(for: .milliseconds(20))
            gate.open()
            for try await status in group { #expect(status == .success) }
        }
    }

    @Test(.timeLimit(.minutes(1))) func aWaiterThatIsCancelledDoesNotWaitForTheEnd() async throws {
        let service = OperationService(events: EventBus())
        let gate = Gate()
        let id = await start(service, gate).id
        let waiter = Task { try await service.wait(id) }
        try await Task.sleep(for: .milliseconds(20))
        waiter.cancel()
        #expect(try await waiter.value.status == .running)
        gate.open()
        #expect(try await service.wait(id).status == .success)
    }

    @Test func cancelling() async throws {
        let service = OperationService(events: EventBus())
        let gate = Gate()
        let fixed = await start(service, gate).id
        #expect(await code { try await service.cancel(fixed) } == .conflict)
        let loose = await start(service, Gate(), mayCancel: true).id
        try await service.cancel(loose)
        let record = try await service.wait(loose)
        #expect(record.status == .cancelled)
        #expect(record.error?.code == .cancelled)
        #expect(await code { try await service.cancel(loose) } == .conflict)
        #expect(await code { try await service.cancel("unknown") } == .notFound)
        gate.open()
        await service.shutdown()
    }

    @Test func failuresAreKept() async throws {
        struct Strange: Error {}
        let service = OperationService(events: EventBus())
        let known = await service.start("pull") { _ in throw EngineError(.notFound, "it is not there") }.id
        let record = try await service.wait(known)
        #expect(record.status == .failure)
        #expect(record.error?.code == .notFound)
        let strange = await service.start("pull") { _ in throw Strange() }.id
        #expect(try await service.wait(strange).error?.code == .internal)
    }

    @Test func outcomesAreForgottenAfterAWhile() async throws {
        let service = OperationService(events: EventBus(), retention: .seconds(1))
        let gate = Gate()
        gate.open()
        let id = await start(service, gate).id
        #expect(try await service.wait(id).status == .success)
        #expect(try await service.get(id).status == .success)
        for _ in 0..<12_000 where await !service.list().isEmpty { try await Task.sleep(for: .milliseconds(5)) }
        #expect(await code { _ = try await service.get(id) } == .notFound)
        #expect(await code { _ = try await service.wait(id) } == .notFound)
    }

    @Test func progressIsToldAndKept() async throws {
        let bus = EventBus()
        let events = bus.subscribe()
        let service = OperationService(events: bus)
        let id = await service.start("pull", metadata: ["a": 1]) { context in
            await context.update(["b": 2])
            return ["c": 3]
        }.id
        #expect(try await service.wait(id).metadata == ["a": 1, "b": 2, "c": 3])
        var told: [String] = []
        for await event in events {
            #expect(event.topic == .operation && event.action == id)
            told.append(event.context["status"]?.string ?? "")
            if told.count == 3 { break }
        }
        #expect(told == ["Running", "Running", "Success"])
    }

    @Test(.timeLimit(.minutes(1))) func theDaemonsEndEndsAll() async throws {
        let service = OperationService(events: EventBus())
        var ids: [String] = []
        for _ in 0..<5 { ids.append(await start(service, Gate()).id) }
        await service.shutdown()
        for id in ids { #expect(try await service.get(id).status == .cancelled) }
    }
}

@Suite struct EventBusTests {
    private func event(_ number: Int) -> EngineEvent {
        EngineEvent(topic: .lifecycle, timestamp: 0, action: "\(number)", source: "/")
    }

    @Test func aSlowListenerLosesTheOldestAndStallsNobody() async {
        let bus = EventBus()
        let slow = bus.subscribe()
        for number in 0..<10_000 { bus.publish(event(number)) }
        var first: String?
        var count = 0
        for await event in slow {
            first = first ?? event.action
            count += 1
            if event.action == "9999" { break }
        }
        #expect(count == 4096)
        #expect(first == "5904")
    }

    @Test func eventsComeInOrderFromTheSubscriptionOn() async {
        let bus = EventBus()
        bus.publish(event(0))
        let (one, two) = (bus.subscribe(), bus.subscribe())
        for number in 1...3 { bus.publish(event(number)) }
        for stream in [one, two] {
            var seen: [String] = []
            for await event in stream {
                seen.append(event.action)
                if seen.count == 3 { break }
            }
            #expect(seen == ["1", "2", "3"])
        }
    }
}
