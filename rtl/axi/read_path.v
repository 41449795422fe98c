// SPDX-License-Identifier: Apache-2.0
//
// read_path: AXI4 reads of the NPU. Checks each burst, fetches whole lines, decrypts them as
// they come and returns what was asked for; each line also goes to the verifier.
//
// A burst that passes the checks becomes one INCR burst of whole lines at the memory (a WRAP
// that starts behind the first line of its container becomes two). It gets an entry with all
// its context; beats of the memory find their entry through the ID (txn_table), so equal IDs
// stay in order and different IDs may overtake each other or interleave.
//
// A burst is under way until the NPU has its last beat *and* the memory has delivered the last
// beat of its last line, whether the NPU asked for that beat or not: a beat that came later
// would be added to the next window of the tensor. tt_taken and tt_delivered tell the two.
//
// WRAP        the line in which the burst starts is needed first and last; its plaintext
//             waits in a buffer of one line, so no line is fetched (and counted) twice. One
//             WRAP is under way at a time.
// Narrow      a beat of the memory stays until all the narrower beats in it are returned.
//             Byte lanes outside the transfer carry the neighbouring bytes of the line.
// Refused     a burst that fails a check has an entry too and is answered in its turn with
//             zero beats and the error.
// Interleaving  beats of different IDs may be mixed at the NPU (legal in AXI4) where the memory
//             mixes them, where a refused burst is answered between the beats of another ID, and
//             between the two parts of a split WRAP.
// ARCACHE     bit 1 (modifiable) is set on the way to the memory: lines are fetched whole.
// Byte order  bus order throughout: the byte at the lowest address is data[7:0].
// Handshake   every AXI channel has registered outputs and registered ready.
// Latency     2 cycles from AR to AR, 2 from R to R, once the keystream is there.
// Throughput  1 beat per cycle; 1 burst per cycle (as far as power_ring keeps up).
//
// SEC_CM: WINDOW.OWNED - a burst is under way until the memory owes it nothing more.
// SEC_CM: DATA.BLOCKED - while the engine is not ready every beat returned is zero with SLVERR.

`resetall
`default_nettype none
`include "tensortee_regs.vh"

module read_path #(
    parameter DATA_W = 128,  // AXI data width in bits: 128, 256, 512
    parameter ADDR_W = 40,   // AXI address width in bits
    parameter ID_W   = 4,    // AXI ID width in bits
    parameter TXNS   = 8,    // outstanding bursts, power of two
    parameter SLOT_W = 4     // width of a slot number in bits
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire                    engine_ready,

    // NPU
    input  wire [ID_W-1:0]         s_arid,
    input  wire [ADDR_W-1:0]       s_araddr,
    input  wire [7:0]              s_arlen,
    input  wire [2:0]              s_arsize,
    input  wire [1:0]              s_arburst,
    input  wire [10:0]             s_arattr,     // QoS, PROT, CACHE
    input  wire                    s_arvalid,
    output wire                    s_arready,
    output wire [ID_W-1:0]         s_rid,
    output wire [DATA_W-1:0]       s_rdata,
    output wire [1:0]              s_rresp,
    output wire                    s_rlast,
    output wire                    s_rvalid,
    input  wire                    s_rready,

    // Memory: INCR bursts of full width
    output wire [ID_W-1:0]         m_arid,
    output wire [ADDR_W-1:0]       m_araddr,
    output wire [7:0]              m_arlen,
    output wire [10:0]             m_arattr,
    output wire                    m_arvalid,
    input  wire                    m_arready,
    input  wire [ID_W-1:0]         m_rid,
    input  wire [DATA_W-1:0]       m_rdata,
    input  wire [1:0]              m_rresp,
    input  wire                    m_rvalid,
    output wire                    m_rready,

    // Tensor table
    output wire [ADDR_W-7:0]       tt_line,
    input  wire                    tt_hit,
    input  wire [SLOT_W-1:0]       tt_slot,
    input  wire                    tt_open,
    input  wire [29:0]             tt_index,
    input  wire [30:0]             tt_lines,
    input  wire [36:0]             tt_nbytes,
    output wire                    tt_inc,             // a burst of tt_slot is under way
    output wire                    tt_taken,           // the NPU has the last beat of a burst
    output wire [SLOT_W-1:0]       tt_taken_slot,
    output wire                    tt_delivered,       // the memory has delivered the last beat of a burst
    output wire [SLOT_W-1:0]       tt_delivered_slot,

    // Keystream
    output wire                    ks_start,
    output wire [TXNS*TXNS-1:0]    ks_older,     // age of the entries, see txn_table
    output wire [$clog2(TXNS)-1:0] ks_txn,
    output wire [SLOT_W-1:0]       ks_slot,
    output wire [31:0]             ks_ctr,
    output wire [8:0]              ks_beats,
    output wire                    ks_pop,
    output wire [$clog2(TXNS)-1:0] ks_pop_txn,
    input  wire [TXNS-1:0]         ks_avail,
    input  wire [DATA_W-1:0]       ks_data,

    // Power of H at which a burst starts
    output reg                     pw_valid,
    input  wire                    pw_ready,
    output reg  [29:0]             pw_line,
    output reg  [$clog2(TXNS)-1:0] pw_txn,
    input  wire                    pw_rsp_valid,
    input  wire [$clog2(TXNS)-1:0] pw_rsp_txn,
    input  wire [127:0]            pw_rsp_q,

    // Verifier
    output wire                    lh_valid,
    output wire [DATA_W-1:0]       lh_beat,
    output wire [SLOT_W-1:0]       lh_slot,
    output wire [$clog2(TXNS)-1:0] lh_txn,
    output wire [127:0]            lh_q,
    output wire [7:0]              lh_t,
    output wire                    lh_line_first,
    output wire                    lh_line_last,
    output wire                    mem_error,
    output wire [SLOT_W-1:0]       mem_error_slot,

    // Fault reports
    output wire                    fault,
    output wire [3:0]              fault_cause,
    output wire [ADDR_W-1:0]       fault_addr,
    output wire                    fault_slot_hit,
    output wire [SLOT_W-1:0]       fault_slot
);

    localparam BYTES = DATA_W / 8;            // per beat
    localparam LB    = $clog2(BYTES);         // address bits inside a beat: 4, 5, 6
    localparam BPL   = 64 / BYTES;            // beats per line: 4, 2, 1
    localparam PB    = 12 - LB;               // bits of a beat's number in its 4 KiB page
    localparam LSH   = 6 - LB;                // log2(BPL)
    localparam TW    = $clog2(TXNS);
    localparam FW    = 4 + ADDR_W + 1 + SLOT_W;
    localparam [12:0] BEAT_BYTES = BYTES[12:0];
    localparam [10:0] MODIFIABLE = 11'd2;     // AxCACHE[1] among the attributes

    localparam [1:0] OKAY = 2'd0, SLVERR = 2'd2, DECERR = 2'd3;

    // ------------------------------------------------------------------------------------
    // AR: registered input
    // ------------------------------------------------------------------------------------
    wire              ar_valid, ar_pop;
    wire [ID_W-1:0]   ar_id;
    wire [ADDR_W-1:0] ar_addr;
    wire [7:0]        ar_len;
    wire [2:0]        ar_size;
    wire [1:0]        ar_burst;
    wire [10:0]       ar_attr;

    reg_slice #(
        .W (ID_W + ADDR_W + 24)
    ) u_s_ar (
        .clk       (clk),
        .rst       (rst),
        .blank     (1'b0),
        .in_valid  (s_arvalid),
        .in_ready  (s_arready),
        .in_data   ({s_arid, s_araddr, s_arlen, s_arsize, s_arburst, s_arattr}),
        .out_valid (ar_valid),
        .out_ready (ar_pop),
        .out_data  ({ar_id, ar_addr, ar_len, ar_size, ar_burst, ar_attr})
    );

    // ------------------------------------------------------------------------------------
    // AR: what the burst touches, and whether it may
    // ------------------------------------------------------------------------------------
    wire        is_wrap, split;
    wire [3:0]  refusal;
    wire [11:0] box;
    wire [5:0]  line, line_end, line_box;
    wire [12:0] room;

    burst_check #(
        .ADDR_W (ADDR_W),
        .LB     (LB),
        .WRITES (0)
    ) u_check (
        .engine_ready (engine_ready),
        .addr         (ar_addr),
        .len          (ar_len),
        .size         (ar_size),
        .burst        (ar_burst),
        .tt_line      (tt_line),
        .tt_hit       (tt_hit),
        .tt_open      (tt_open),
        .tt_index     (tt_index),
        .tt_lines     (tt_lines),
        .tt_nbytes    (tt_nbytes),
        .refusal      (refusal),
        .wrap         (is_wrap),
        .wrap_box     (box),
        .first        (line),
        .last         (line_end),
        .wrap_first   (line_box),
        .split        (split),
        .room         (room)
    );

    // The second part of a split WRAP was checked with the first; its slot is kept because the
    // table may have changed by then. Its lines lie before the first part, so none is the
    // tensor's last one.
    reg              second;
    reg [SLOT_W-1:0] second_slot;
    reg [29:0]       second_index;
    reg              wrap_busy;
    wire             refuse = !second && (refusal != `TTEE_CAUSE_NONE);

    wire [5:0]        part_first = second ? line_box : line;
    wire [5:0]        part_last  = second ? line - 6'd1 : line_end;
    wire [5:0]        part_more  = part_last - part_first;
    wire [29:0]       part_index = second ? second_index : tt_index;
    wire [SLOT_W-1:0] part_slot  = second ? second_slot : tt_slot;
    wire [12:0]       part_bytes = second ? 13'd4096 : room;
    wire [8:0]        part_beats = ({3'd0, part_more} + 9'd1) << LSH;
    wire [8:0]        part_beats_less = part_beats - 9'd1;
    wire [7:0]        part_beat0 = {2'd0, part_first} << LSH;

    // ------------------------------------------------------------------------------------
    // AR: issue
    // ------------------------------------------------------------------------------------
    wire          m_ar_in_ready;
    wire          txn_ok;
    wire [TW-1:0] new_txn;
    wire          ar_fault_ready;

    wire grant = ar_valid && !refuse && txn_ok && m_ar_in_ready && (!pw_valid || pw_ready)
                 && !(is_wrap && !second && wrap_busy);
    wire deny  = ar_valid && refuse && txn_ok && ar_fault_ready;
    wire last_part = second || !split;

    assign ar_pop = deny || (grant && last_part);

    reg_slice #(
        .W (ID_W + ADDR_W + 19)
    ) u_m_ar (
        .clk       (clk),
        .rst       (rst),
        .blank     (1'b0),
        .in_valid  (grant),
        .in_ready  (m_ar_in_ready),
        .in_data   ({ar_id, ar_addr[ADDR_W-1:12], part_first, 6'd0, part_beats_less[7:0], ar_attr | MODIFIABLE}),
        .out_valid (m_arvalid),
        .out_ready (m_arready),
        .out_data  ({m_arid, m_araddr, m_arlen, m_arattr})
    );

    assign tt_inc   = grant && !second;
    assign ks_start = grant;
    assign ks_txn   = new_txn;
    assign ks_slot  = part_slot;
    assign ks_beats = part_beats;
    assign ks_ctr   = {part_index, 2'd0} + 32'd2;

    always @(posedge clk) begin
        if (rst) begin
            pw_valid     <= 1'b0;
            pw_line      <= 30'd0;
            pw_txn       <= {TW{1'b0}};
            second       <= 1'b0;
            second_slot  <= {SLOT_W{1'b0}};
            second_index <= 30'd0;
        end else begin
            if (grant) begin
                pw_valid <= 1'b1;
                pw_line  <= part_index;
                pw_txn   <= new_txn;
            end else if (pw_ready) begin
                pw_valid <= 1'b0;
            end
            if (grant && !last_part) begin
                second       <= 1'b1;
                second_slot  <= tt_slot;
                second_index <= tt_index - ({24'd0, line} - {24'd0, line_box});
            end else if (grant) begin
                second <= 1'b0;
            end
        end
    end

    // ------------------------------------------------------------------------------------
    // Context of each burst
    // ------------------------------------------------------------------------------------
    reg  [TXNS-1:0]   refused;
    reg  [1:0]        error   [0:TXNS-1];   // response of a refused burst
    reg  [SLOT_W-1:0] slot    [0:TXNS-1];
    reg  [ADDR_W-1:0] addr    [0:TXNS-1];   // as asked, for the fault log
    reg               wrap    [0:TXNS-1];   // part of the WRAP under way
    reg               tail    [0:TXNS-1];   // last part of its burst
    reg               keep    [0:TXNS-1];   // its first line goes to the line buffer
    // Fetch side: moves with the beats of the memory.
    reg  [8:0]        left    [0:TXNS-1];   // beats to come
    reg  [PB-1:0]     beat    [0:TXNS-1];   // number of the next beat in its page
    reg  [7:0]        t       [0:TXNS-1];   // beats since the burst's start
    reg  [12:0]       bytes   [0:TXNS-1];   // bytes of the tensor from the next beat on, 4096 = many
    reg               failed  [0:TXNS-1];   // a memory error was reported
    reg  [127:0]      q       [0:TXNS-1];   // Q of the burst's first line
    reg               q_ok    [0:TXNS-1];
    // Return side: moves with the beats returned. A WRAP has its own set.
    reg  [8:0]        todo    [0:TXNS-1];   // beats to be returned
    reg  [11:0]       next    [0:TXNS-1];   // address of the next one, in its page
    reg  [2:0]        size    [0:TXNS-1];
    reg  [8:0]        wrap_todo;
    reg  [11:0]       wrap_next;
    reg  [11:0]       wrap_box;
    reg               wrap_failed;

    // ------------------------------------------------------------------------------------
    // R: find the entry of a beat
    // ------------------------------------------------------------------------------------
    wire              r_valid, r_pop;
    wire [ID_W-1:0]   r_id;
    wire [DATA_W-1:0] r_data;
    wire [1:0]        r_resp;

    skid_buffer #(
        .W (ID_W + DATA_W + 2)
    ) u_m_r (
        .clk       (clk),
        .rst       (rst),
        .blank     (1'b0),
        .in_valid  (m_rvalid),
        .in_ready  (m_rready),
        .in_data   ({m_rid, m_rdata, m_rresp}),
        .out_valid (r_valid),
        .out_ready (r_pop),
        .out_data  ({r_id, r_data, r_resp})
    );

    wire               match_hit;
    wire [TW-1:0]      at;
    wire [TXNS-1:0]    eldest;
    wire [TXNS*ID_W-1:0] ids;
    wire               free;
    wire [TW-1:0]      free_txn;
    wire               deny_done;
    wire [TW-1:0]      deny_txn;

    wire               r_last = (left[at] == 9'd1);

    txn_table #(
        .N    (TXNS),
        .ID_W (ID_W)
    ) u_order (
        .clk       (clk),
        .rst       (rst),
        .alloc     (grant || deny),
        .alloc_id  (ar_id),
        .alloc_ok  (txn_ok),
        .alloc_idx (new_txn),
        .match_id  (r_id),
        .match_hit (match_hit),
        .match_idx (at),
        .done      ((ks_pop && r_last) || deny_done),
        .done_idx  (deny_done ? deny_txn : at),
        .free      (free),
        .free_idx  (free_txn),
        .eldest    (eldest),
        .older     (ks_older),
        .ids       (ids)
    );

    // Refused bursts whose turn has come. They and the beats of the memory take turns, so that
    // neither keeps the other from the NPU.
    reg           deny_wait;
    reg  [TW-1:0] deny_pick;
    integer pick;
    always @* begin
        deny_wait = 1'b0;
        deny_pick = {TW{1'b0}};
        for (pick = TXNS - 1; pick >= 0; pick = pick - 1)
            if (eldest[pick] && refused[pick]) begin
                deny_wait = 1'b1;
                deny_pick = pick[TW-1:0];
            end
    end
    reg           deny_busy;
    reg  [TW-1:0] deny_at;
    reg           deny_last;             // a refused burst was answered last
    assign deny_txn = deny_at;

    // ------------------------------------------------------------------------------------
    // R: one beat with its context; its keystream arrives with it
    // ------------------------------------------------------------------------------------
    reg               b_valid;
    reg  [DATA_W-1:0] b_data;
    reg  [1:0]        b_resp;
    reg  [TW-1:0]     b_txn;
    reg  [ID_W-1:0]   b_id;
    reg               b_wrap, b_tail, b_keep, b_last;
    reg  [PB-1:0]     b_beat;
    reg  [LB:0]       b_bytes;             // bytes of the beat that belong to the tensor
    wire              b_done;

    wire r_here  = r_valid && match_hit && !refused[at] && ks_avail[at] && q_ok[at];
    wire deny_go = deny_wait && !(deny_last && r_here);
    wire take    = r_here && (!b_valid || b_done) && !deny_go && !deny_busy;

    assign r_pop      = take || (r_valid && !match_hit);
    assign ks_pop     = take;
    assign ks_pop_txn = at;

    wire        r_error = (r_resp != OKAY) && (r_resp != 2'd1);
    wire [LB:0] r_bytes = (bytes[at] >= BEAT_BYTES) ? BYTES[LB:0] : bytes[at][LB:0];

    function [DATA_W-1:0] byte_mask;
        input [LB:0] n;
        integer      j;
        begin
            for (j = 0; j < BYTES; j = j + 1)
                byte_mask[8*j +: 8] = (j[LB:0] < n) ? 8'hFF : 8'h00;
        end
    endfunction

    assign lh_valid = take && !r_error;
    assign lh_beat  = r_data & byte_mask(r_bytes);
    assign lh_slot  = slot[at];
    assign lh_txn   = at;
    assign lh_q     = q[at];
    assign lh_t     = t[at];

    generate
        if (BPL == 1) begin : g_line
            assign lh_line_first = 1'b1;
            assign lh_line_last  = 1'b1;
        end else begin : g_line
            assign lh_line_first = (t[at][LSH-1:0] == {LSH{1'b0}});
            assign lh_line_last  = (t[at][LSH-1:0] == {LSH{1'b1}});
        end
    endgenerate

    assign mem_error      = take && r_error;
    assign mem_error_slot = slot[at];
    wire   report         = mem_error && !(wrap[at] ? wrap_failed : failed[at]);

    always @(posedge clk) begin
        if (rst) begin
            b_valid <= 1'b0;
            b_data  <= {DATA_W{1'b0}};
            b_resp  <= OKAY;
            b_txn   <= {TW{1'b0}};
            b_id    <= {ID_W{1'b0}};
            b_wrap  <= 1'b0;
            b_tail  <= 1'b0;
            b_keep  <= 1'b0;
            b_last  <= 1'b0;
            b_beat  <= {PB{1'b0}};
            b_bytes <= {LB+1{1'b0}};
        end else if (take) begin
            b_valid <= 1'b1;
            b_data  <= r_data;
            b_resp  <= r_error ? r_resp : OKAY;
            b_txn   <= at;
            b_id    <= r_id;
            b_wrap  <= wrap[at];
            b_tail  <= tail[at];
            b_keep  <= keep[at] && (t[at] < BPL[7:0]);
            b_last  <= r_last;
            b_beat  <= beat[at];
            b_bytes <= r_bytes;
        end else if (b_done) begin
            b_valid <= 1'b0;
            b_data  <= {DATA_W{1'b0}};
        end
    end

    // ------------------------------------------------------------------------------------
    // R: return what was asked for
    // ------------------------------------------------------------------------------------
    wire              out_ready;
    reg               rest_busy;           // the end of a WRAP comes from the line buffer
    reg  [TW-1:0]     rest_txn;
    reg  [ID_W-1:0]   rest_id;
    reg  [DATA_W-1:0] line_data [0:BPL-1];
    reg  [1:0]        line_resp [0:BPL-1];

    wire [TW-1:0]     e_txn  = rest_busy ? rest_txn : b_txn;
    wire              e_wrap = rest_busy || b_wrap;
    wire [8:0]        e_todo = e_wrap ? wrap_todo : todo[e_txn];
    wire [11:0]       e_next = e_wrap ? wrap_next : next[e_txn];
    wire [2:0]        e_size = size[e_txn];
    wire [11:0]       e_in_size = (12'd1 << e_size) - 12'd1;
    wire [11:0]       e_step = (e_next | e_in_size) + 12'd1;
    wire [11:0]       e_then = e_wrap ? (e_next & ~wrap_box) | (e_step & wrap_box) : e_step;

    wire              b_asked = b_valid && (e_todo != 9'd0) && (e_next[11:LB] == b_beat);
    wire              b_send  = b_asked && !rest_busy && !deny_busy;
    wire              b_more  = (e_todo != 9'd1) && (e_then[11:LB] == b_beat);
    assign            b_done  = b_valid && !rest_busy && !deny_busy
                                && (!b_asked || (out_ready && !b_more));
    wire [8:0]        b_todo_after = e_todo - {8'd0, b_asked};
    wire              b_rest  = b_done && b_last && b_tail && (b_todo_after != 9'd0);

    wire [DATA_W-1:0] b_plain = (b_data ^ ks_data) & byte_mask(b_bytes)
                                & {DATA_W{engine_ready && (b_resp == OKAY)}};
    wire [1:0]        b_answer = !engine_ready ? SLVERR : b_resp;

    wire [DATA_W-1:0] rest_data;
    wire [1:0]        rest_resp;
    wire [DATA_W-1:0] line_word;
    generate
        if (BPL == 1) begin : g_rest
            assign line_word = line_data[0];
            assign rest_resp = !engine_ready ? SLVERR : line_resp[0];
        end else begin : g_rest
            assign line_word = line_data[e_next[5:LB]];
            assign rest_resp = !engine_ready ? SLVERR : line_resp[e_next[5:LB]];
        end
    endgenerate
    assign rest_data = line_word & {DATA_W{engine_ready}};

    wire e_send  = b_send || rest_busy;
    wire e_moves = e_send && out_ready;
    wire e_last  = (e_todo == 9'd1);
    wire d_last  = (todo[deny_at] == 9'd1);
    wire rest_end = rest_busy && out_ready && e_last;

    assign deny_done = deny_busy && out_ready && d_last;

    wire              s_counted;
    wire [SLOT_W-1:0] s_slot;

    reg_slice #(
        .W     (ID_W + DATA_W + 4 + SLOT_W),
        .KEEP  ({{ID_W{1'b1}}, {DATA_W{1'b0}}, 2'b00, 1'b1, 1'b1, {SLOT_W{1'b1}}}),
        .FORCE ({{ID_W{1'b0}}, {DATA_W{1'b0}}, SLVERR, 1'b0, 1'b0, {SLOT_W{1'b0}}})
    ) u_s_r (
        .clk       (clk),
        .rst       (rst),
        .blank     (!engine_ready),
        .in_valid  (e_send || deny_busy),
        .in_ready  (out_ready),
        .in_data   (deny_busy ? {ids[deny_at*ID_W +: ID_W], {DATA_W{1'b0}}, error[deny_at], d_last, 1'b0, {SLOT_W{1'b0}}} :
                    rest_busy ? {rest_id, rest_data, rest_resp, e_last, 1'b1, slot[rest_txn]} :
                                {b_id, b_plain, b_answer, e_last, 1'b1, slot[b_txn]}),
        .out_valid (s_rvalid),
        .out_ready (s_rready),
        .out_data  ({s_rid, s_rdata, s_rresp, s_rlast, s_counted, s_slot})
    );

    assign tt_taken          = s_rvalid && s_rready && s_rlast && s_counted;
    assign tt_taken_slot     = s_slot;
    assign tt_delivered      = take && r_last && tail[at];
    assign tt_delivered_slot = slot[at];

    // An entry ends with its last beat, unless the rest of a WRAP has to follow.
    wire b_ends = b_done && b_last && !b_rest;
    assign free     = b_ends || rest_end || deny_done;
    assign free_txn = deny_done ? deny_at : rest_end ? rest_txn : b_txn;

    always @(posedge clk) begin
        if (rst) begin
            deny_busy <= 1'b0;
            deny_at   <= {TW{1'b0}};
            deny_last <= 1'b0;
            rest_busy <= 1'b0;
            rest_txn  <= {TW{1'b0}};
            rest_id   <= {ID_W{1'b0}};
            wrap_busy <= 1'b0;
        end else begin
            if (deny_done) begin
                deny_busy <= 1'b0;
            end else if (!deny_busy && deny_go && !b_valid && !rest_busy) begin
                deny_busy <= 1'b1;
                deny_at   <= deny_pick;
            end
            if (deny_done) deny_last <= 1'b1;
            else if (take) deny_last <= 1'b0;
            if (rest_end) begin
                rest_busy <= 1'b0;
            end else if (b_rest) begin
                rest_busy <= 1'b1;
                rest_txn  <= b_txn;
                rest_id   <= b_id;
            end
            if (grant && is_wrap)                           wrap_busy <= 1'b1;
            else if (rest_end || (b_ends && b_tail && b_wrap)) wrap_busy <= 1'b0;
        end
    end

    // Line buffer of the WRAP under way; empty otherwise.
    genvar i;
    generate
        for (i = 0; i < BPL; i = i + 1) begin : g_buffer
            localparam [31:0] INDEX = i;
            wire here;
            if (BPL == 1) begin : g_one
                assign here = 1'b1;
            end else begin : g_some
                assign here = (b_beat[LSH-1:0] == INDEX[LSH-1:0]);
            end
            always @(posedge clk) begin
                if (rst || !wrap_busy || !engine_ready) begin
                    line_data[i] <= {DATA_W{1'b0}};
                    line_resp[i] <= OKAY;
                end else if (b_done && b_keep && here) begin
                    line_data[i] <= b_plain;
                    line_resp[i] <= b_answer;
                end
            end
        end
    endgenerate

    // ------------------------------------------------------------------------------------
    // Context updates
    // ------------------------------------------------------------------------------------
    integer txn;
    always @(posedge clk) begin
        if (rst) begin
            for (txn = 0; txn < TXNS; txn = txn + 1) begin
                refused[txn] <= 1'b0;
                error[txn]   <= OKAY;
                slot[txn]    <= {SLOT_W{1'b0}};
                addr[txn]    <= {ADDR_W{1'b0}};
                wrap[txn]    <= 1'b0;
                tail[txn]    <= 1'b0;
                keep[txn]    <= 1'b0;
                left[txn]    <= 9'd0;
                beat[txn]    <= {PB{1'b0}};
                t[txn]       <= 8'd0;
                bytes[txn]   <= 13'd0;
                failed[txn]  <= 1'b0;
                q[txn]       <= 128'd0;
                q_ok[txn]    <= 1'b0;
                todo[txn]    <= 9'd0;
                next[txn]    <= 12'd0;
                size[txn]    <= 3'd0;
            end
            wrap_todo   <= 9'd0;
            wrap_next   <= 12'd0;
            wrap_box    <= 12'd0;
            wrap_failed <= 1'b0;
        end else begin
            if (pw_rsp_valid) begin
                q[pw_rsp_txn]    <= pw_rsp_q & {128{engine_ready}};
                q_ok[pw_rsp_txn] <= 1'b1;
            end
            if (take) begin
                left[at]  <= left[at] - 9'd1;
                beat[at]  <= beat[at] + 1'b1;
                t[at]     <= t[at] + 8'd1;
                bytes[at] <= (bytes[at] == 13'd4096) ? 13'd4096 :
                             (bytes[at] >= BEAT_BYTES) ? bytes[at] - BEAT_BYTES : 13'd0;
                if (r_error) begin
                    if (wrap[at]) wrap_failed <= 1'b1;
                    else          failed[at]  <= 1'b1;
                end
                // A power of H must not outlive its burst.
                if (r_last) q[at] <= 128'd0;
            end
            if (e_moves) begin
                if (e_wrap) begin
                    wrap_todo <= wrap_todo - 9'd1;
                    wrap_next <= e_then;
                end else begin
                    todo[e_txn] <= todo[e_txn] - 9'd1;
                    next[e_txn] <= e_then;
                end
            end
            if (deny_busy && out_ready) todo[deny_at] <= todo[deny_at] - 9'd1;
            if (grant || deny) begin
                refused[new_txn] <= deny;
                error[new_txn]   <= (refusal == `TTEE_CAUSE_NO_TENSOR) ? DECERR : SLVERR;
                slot[new_txn]    <= part_slot;
                addr[new_txn]    <= ar_addr;
                wrap[new_txn]    <= is_wrap && grant;
                tail[new_txn]    <= last_part;
                keep[new_txn]    <= is_wrap && !second;
                left[new_txn]    <= part_beats;
                beat[new_txn]    <= part_beat0[PB-1:0];
                t[new_txn]       <= 8'd0;
                bytes[new_txn]   <= part_bytes;
                failed[new_txn]  <= 1'b0;
                q_ok[new_txn]    <= 1'b0;
                todo[new_txn]    <= {1'b0, ar_len} + 9'd1;
                next[new_txn]    <= ar_addr[11:0];
                size[new_txn]    <= ar_size;
                if (grant && is_wrap && !second) begin
                    wrap_todo   <= {1'b0, ar_len} + 9'd1;
                    wrap_next   <= ar_addr[11:0];
                    wrap_box    <= box;
                    wrap_failed <= 1'b0;
                end
            end
            if (!engine_ready)
                for (txn = 0; txn < TXNS; txn = txn + 1) q[txn] <= 128'd0;
        end
    end

    // ------------------------------------------------------------------------------------
    // Fault reports
    // ------------------------------------------------------------------------------------
    wire unused_ready;
    fault_arb #(
        .W (FW)
    ) u_faults (
        .clk          (clk),
        .rst          (rst),
        .now_valid    (report),
        .now_info     ({`TTEE_CAUSE_MEM_READ, addr[at], 1'b1, slot[at]}),
        .later0_valid (ar_valid && refuse && txn_ok),
        .later0_ready (ar_fault_ready),
        .later0_info  ({refusal, ar_addr, tt_hit, tt_hit ? tt_slot : {SLOT_W{1'b0}}}),
        .later1_valid (1'b0),
        .later1_ready (unused_ready),
        .later1_info  ({FW{1'b0}}),
        .out_valid    (fault),
        .out_info     ({fault_cause, fault_addr, fault_slot_hit, fault_slot})
    );

    wire _unused = &{1'b0, unused_ready, part_beats_less[8], part_beat0};

endmodule

`resetall
