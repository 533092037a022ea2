import Model
import Synchronization
import Testing

@testable import DriverKit

@Suite struct ReverterTests {
    final class Journal: Sendable {
        private let entries = Mutex<[String]>([])
        func add(_ entry: String) { entries.withLock { $0.append(entry) } }
        var all: [String] { entries.withLock { $0 } }
    }

    @Test func successUndoesNothing() async throws {
        let journal = Journal()
        let result = try await withReverter { reverter in
            reverter.onFailure("a") { journal.add("a") }
            return 7
        }
        #expect(result == 7)
        #expect(journal.all.isEmpty)
    }

    @Test func theNewestStepIsUndoneFirst() async throws {
        let journal = Journal()
        let error = await #expect(throws: EngineError.self) {
            try await withReverter { reverter in
                for step in ["a", "b", "c"] { reverter.onFailure(step) { journal.add(step) } }
                throw EngineError(.notFound, "the cause", hint: "the way out")
            }
        }
        #expect(journal.all == ["c", "b", "a"])
        #expect(error?.code == .notFound)
        #expect(error?.description == "the cause (the way out)")
    }

    @Test func anUndoThatFailsKeepsNothingElseFromBeingUndone() async throws {
        let journal = Journal()
        let error = await #expect(throws: EngineError.self) {
            try await withReverter { reverter in
                reverter.onFailure("first") { journal.add("first") }
                reverter.onFailure("second") { throw EngineError(.busy, "it is held") }
                reverter.onFailure("third") { journal.add("third") }
                throw EngineError(
                    .notFound, "the failure", hint: "the way out", cause: EngineError(.timeout, "the cause"))
            }
        }
        #expect(journal.all == ["third", "first"])
        #expect(error?.code == .notFound)
        let text = try #require(error).description
        for part in ["the failure", "the cause", "second: it is held", "the way out"] {
            #expect(text.contains(part), "\(part)")
        }
    }

    @Test func cancellationDoesNotReachTheUndoSteps() async throws {
        let journal = Journal()
        let task = Task {
            try await withReverter { reverter in
                reverter.onFailure("a") {
                    try await Task.sleep(for: .milliseconds(10))
                    journal.add("a")
                }
                try await Task.sleep(for: .seconds(60))
            }
        }
        try await Task.sleep(for: .milliseconds(20))
        task.cancel()
        await #expect(throws: CancellationError.self) { try await task.value }
        #expect(journal.all == ["a"])
    }

    @Test func anUnknownErrorKeepsItsText() async throws {
        let error = await #expect(throws: EngineError.self) {
            try await withReverter { reverter in
                reverter.onFailure("a") { throw CancellationError() }
                throw CancellationError()
            }
        }
        #expect(error?.code == .internal)
        #expect(error?.description.contains("CancellationError") == true)
    }
}
