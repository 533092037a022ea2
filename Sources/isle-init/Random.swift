import CHost

/// The standard library's hashing asks for random bytes by this name, which musl does not have.
@_cdecl("arc4random_buf")
public func randomBytes(_ buffer: UnsafeMutableRawPointer, _ count: Int) { guest_random(buffer, count) }
