import Foundation
import Glibc

/// A folder that goes with the test.
final class TestFolder: Sendable {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "isle-registry-" + UUID().uuidString
        _ = mkdir(path, 0o700)
    }

    func write(_ name: String, _ text: String) throws -> String {
        let target = URL(fileURLWithPath: path + "/" + name)
        try FileManager.default.createDirectory(
            at: target.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: target)
        return target.path
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }
}
