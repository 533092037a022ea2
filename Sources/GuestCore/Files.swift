import CHost

/// The whole file, at most `limit` bytes; nil if it cannot be read.
public func readFile(_ path: String, limit: Int = 1 << 20) -> [UInt8]? {
    let descriptor = guest_open(path, guest_o_rdonly(), 0)
    guard descriptor >= 0 else { return nil }
    defer { _ = guest_close(descriptor) }
    var content: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16384)
    while content.count < limit {
        let size = chunk.count
        let count = chunk.withUnsafeMutableBytes { guest_read(descriptor, $0.baseAddress, size) }
        guard count >= 0 else { return nil }
        if count == 0 { return content }
        content.append(contentsOf: chunk[0..<count])
    }
    return content
}

/// Replaces the file's content; false if that failed.
@discardableResult
public func writeFile(_ path: String, _ content: [UInt8]) -> Bool {
    let descriptor = guest_open(path, guest_o_replace(), 0o644)
    guard descriptor >= 0 else { return false }
    defer { _ = guest_close(descriptor) }
    var written = 0
    while written < content.count {
        let count = content.withUnsafeBytes { bytes in
            guest_write(descriptor, bytes.baseAddress.map { $0 + written }, content.count - written)
        }
        guard count > 0 else { return false }
        written += count
    }
    return true
}

/// Names in a folder, those that begin with a dot left out; empty if it cannot be read.
public func listFolder(_ path: String) -> [String] {
    guard let folder = guest_opendir(path) else { return [] }
    defer { guest_closedir(folder) }
    var names: [String] = []
    while let name = guest_readdir(folder) { names.append(String(cString: name)) }
    return names
}

/// Where a symbolic link leads; empty if it is none.
public func readLink(_ path: String) -> String {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes {
        guest_readlink(path, $0.baseAddress?.assumingMemoryBound(to: CChar.self), 4096)
    }
    return count > 0 ? String(decoding: buffer[0..<count], as: UTF8.self) : ""
}

/// First line of a file without blanks around it; empty if there is none.
public func readLine(_ path: String) -> String {
    guard let content = readFile(path, limit: 4096), let line = splitLines(content).first else { return "" }
    let words = splitWords(line)
    var text = ""
    for (index, word) in words.enumerated() { text += (index == 0 ? "" : " ") + word }
    return text
}
