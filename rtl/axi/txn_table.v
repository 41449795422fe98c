// SPDX-License-Identifier: Apache-2.0
//
// txn_table: order of the outstanding bursts of one direction.
//
// Every burst takes any free entry; for each entry the table keeps which entries are older.
// A response of the memory belongs to the entry with its ID for which no older burst of that
// ID still expects responses: this holds for any number of bursts with one ID and for any
// order among different IDs. An entry that is never answered blocks no other one.
//
// alloc       takes entry alloc_idx (the free one with the lowest number), allowed while
//             alloc_ok.
// match       combinational: match_hit and match_idx for match_id.
// done        the last response of done_idx was taken: the next burst of its ID may match.
// free        free_idx is no longer in use and may be taken again (not before done; both
//             in one cycle is allowed).
// eldest[i]   entry i is in use, not done, and waits for no older burst of its ID.
// older       bit i * N + j: entry j is in use and was taken before entry i.

`resetall
`default_nettype none

module txn_table #(
    parameter N    = 8,  // entries, power of two, 2 .. 32
    parameter ID_W = 4   // AXI ID width in bits
) (
    input  wire                 clk,
    input  wire                 rst,

    input  wire                 alloc,
    input  wire [ID_W-1:0]      alloc_id,
    output wire                 alloc_ok,
    output reg  [$clog2(N)-1:0] alloc_idx,

    input  wire [ID_W-1:0]      match_id,
    output reg                  match_hit,
    output reg  [$clog2(N)-1:0] match_idx,

    input  wire                 done,
    input  wire [$clog2(N)-1:0] done_idx,
    input  wire                 free,
    input  wire [$clog2(N)-1:0] free_idx,

    output wire [N-1:0]         eldest,
    output wire [N*N-1:0]       older,
    output wire [N*ID_W-1:0]    ids
);

    localparam IW = $clog2(N);

    reg  [N-1:0]    used;             // entry may not be taken
    reg  [N-1:0]    waiting;          // entry still expects responses
    wire [N-1:0]    done_bit = done ? ({{N-1{1'b0}}, 1'b1} << done_idx) : {N{1'b0}};
    wire [N-1:0]    free_bit = free ? ({{N-1{1'b0}}, 1'b1} << free_idx) : {N{1'b0}};
    wire [N-1:0]    same_id;

    assign alloc_ok = (used != {N{1'b1}});

    integer f;
    always @* begin
        alloc_idx = {IW{1'b0}};
        for (f = N - 1; f >= 0; f = f - 1)
            if (!used[f]) alloc_idx = f[IW-1:0];
    end

    wire [N-1:0]    alloc_bit = alloc ? ({{N-1{1'b0}}, 1'b1} << alloc_idx) : {N{1'b0}};

    always @(posedge clk) begin
        if (rst) begin
            used    <= {N{1'b0}};
            waiting <= {N{1'b0}};
        end else begin
            used    <= (used & ~free_bit) | alloc_bit;
            waiting <= (waiting & ~done_bit) | alloc_bit;
        end
    end

    genvar i;
    generate
        for (i = 0; i < N; i = i + 1) begin : g_entry
            reg [ID_W-1:0] id;
            reg [N-1:0]    elder;         // entries in use that are older
            reg [N-1:0]    blocked_by;    // those of them with the same ID that expect responses

            assign same_id[i]          = waiting[i] && (id == alloc_id);
            assign eldest[i]           = waiting[i] && (blocked_by == {N{1'b0}});
            assign older[i*N +: N]     = elder;
            assign ids[i*ID_W +: ID_W] = id;

            always @(posedge clk) begin
                if (rst) begin
                    id         <= {ID_W{1'b0}};
                    elder      <= {N{1'b0}};
                    blocked_by <= {N{1'b0}};
                end else if (alloc_bit[i]) begin
                    id         <= alloc_id;
                    elder      <= used & ~free_bit;
                    blocked_by <= same_id & ~done_bit;
                end else begin
                    elder      <= elder & ~free_bit;
                    blocked_by <= blocked_by & ~done_bit;
                end
            end
        end
    endgenerate

    integer k;
    always @* begin
        match_hit = 1'b0;
        match_idx = {IW{1'b0}};
        for (k = 0; k < N; k = k + 1)
            if (eldest[k] && ids[k*ID_W +: ID_W] == match_id) begin
                match_hit = 1'b1;
                match_idx = k[IW-1:0];
            end
    end

endmodule

`resetall
