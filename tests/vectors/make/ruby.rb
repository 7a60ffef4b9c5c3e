# Vectors from Ruby: Random.new(seed), whose rand(n) rejects and whose rand is a float.
SEEDS32 = [0, 1, 42, 12345, 1 << 31, (1 << 32) - 1].freeze

puts "source\truby.rand\tRuby #{RUBY_VERSION}, Random.new(seed).rand(n); Random.rand(n) agrees"
[1000, 1024, 10, 6, (1 << 31) - 1, (1 << 31) + 1, 1 << 32].product(SEEDS32) do |n, seed|
  one = Random.new(seed)
  srand(seed)
  draws = Array.new(64) { one.rand(n) }
  raise 'Kernel#rand' unless draws == Array.new(64) { rand(n) }
  # A negative seed is its absolute value.
  raise 'negative seed' unless Random.new(-seed).rand(n) == draws[0]

  puts "case\truby.rand\t#{seed}\t#{n}\t-\t#{draws.join(' ')}"
end

puts "source\truby.rand_float\tRuby #{RUBY_VERSION}, (Random.new(seed).rand * n).to_i"
[1000, 1024, 37, (1 << 31) + 1].product(SEEDS32) do |n, seed|
  one = Random.new(seed)
  puts "case\truby.rand_float\t#{seed}\t#{n}\t-\t#{Array.new(64) { (one.rand * n).to_i }.join(' ')}"
end
